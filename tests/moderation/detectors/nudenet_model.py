"""Where the tests of the nudity detector find its model, which comes under another licence."""

import os
from importlib.util import find_spec

import pytest


def require_nudenet() -> None:
    """Skip where the package is not installed; where everything has to be, fail."""
    if find_spec("nudenet") is not None:
        return
    reason = "nudenet is not installed, being under the AGPL-3.0: `make test` puts it beside the environment"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
