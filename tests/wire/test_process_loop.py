"""Which event loop a process runs on changes nothing but its speed."""

import asyncio
import sys

import pytest

from ostiary.wire.process import EXIT_OK, Stop, run


@pytest.mark.parametrize("installed", [True, False])
def test_event_loops(installed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """uvloop's where it is installed, asyncio's own where it is not; both serve to the end."""
    if installed:
        pytest.importorskip("uvloop", reason="uvloop is of the extra [gateway]")
    else:
        monkeypatch.setitem(sys.modules, "uvloop", None)
    modules = []

    async def main(stop: Stop) -> None:
        modules.append(type(asyncio.get_running_loop()).__module__.partition(".")[0])

    assert run("test", main) == EXIT_OK
    assert modules == ["uvloop" if installed else "asyncio"]
