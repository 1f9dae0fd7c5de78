from pathlib import Path

import pytest

from wire.kit import Site


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """An authority with a server's and a client's credentials, new for each test."""
    return Site.make(tmp_path)
