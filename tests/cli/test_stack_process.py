"""Child processes of a local stack: started, watched, stopped, and never mistaken for another."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ostiary.cli.stack import health
from ostiary.cli.stack.health import StartError, serving, wait_until_serving
from ostiary.cli.stack.process import Process, started, stop_all
from ostiary.wire.health import HealthServer

WAITS = "print('ready', flush=True); import signal; signal.pause()"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True)\n" + (
    "while True: signal.pause()"
)
NOWHERE = "127.0.0.1:1"


def child(folder: Path, code: str, address: str = NOWHERE) -> Process:
    return Process("child", [sys.executable, "-c", code], folder, address)


def ready(process: Process) -> None:
    """Returns once the child has printed a line."""
    while not process.log.exists() or not process.log.read_text():
        assert process.pid() is not None


@pytest.fixture
def waiting(tmp_path: Path) -> Iterator[Process]:
    process = child(tmp_path, WAITS)
    process.start()
    ready(process)
    yield process
    process.signal(signal.SIGKILL)
    process.wait(10)


def test_stopped_in_order(waiting: Process) -> None:
    """A child that minds SIGTERM is not killed, and its pid file goes."""
    assert stop_all([waiting], grace=10) == []
    assert waiting.pid() is None
    assert not waiting.pid_file.exists()


def test_killed_when_it_must_be(tmp_path: Path) -> None:
    """A child that does not mind is killed after its grace, and named."""
    process = child(tmp_path, STUBBORN)
    process.start()
    ready(process)
    assert stop_all([process], grace=0.1) == ["child"]
    assert process.pid() is None


def test_found_by_another_command(waiting: Process) -> None:
    """A later command finds the process by its file and can stop it."""
    other = child(waiting.folder, "")
    assert other.pid() == waiting.pid()
    other.signal(signal.SIGTERM)
    assert waiting.wait(10)
    assert other.pid() is None


def test_a_recycled_pid_is_never_signalled(tmp_path: Path) -> None:
    """A process that merely has the recorded id, but started at another time, is left alone."""
    innocent = subprocess.Popen([sys.executable, "-c", WAITS], stdout=subprocess.PIPE)
    assert innocent.stdout is not None
    innocent.stdout.readline()
    process = child(tmp_path, "")
    process.pid_file.write_text(json.dumps({"pid": innocent.pid, "started": "another boot/1"}))
    assert process.pid() is None
    assert stop_all([process], grace=0) == []
    assert innocent.poll() is None
    innocent.kill()
    innocent.communicate()


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "12", '{"pid": "x", "started": ""}', '{"pid": 0, "started": ""}'], ids=repr
)
def test_damaged_pid_file(tmp_path: Path, text: str) -> None:
    """A pid file that says nothing sensible means that nothing runs."""
    process = child(tmp_path, "")
    process.pid_file.write_text(text)
    assert process.pid() is None


def test_started_tells_processes_apart() -> None:
    """A running process has a start; one that has gone, or was never there, has none."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    assert started(os.getpid()) == started(os.getpid()) != ""
    assert started(gone.pid) == ""


async def test_waits_for_health(waiting: Process) -> None:
    """A service counts as started once it says SERVING, not before."""
    server = HealthServer("127.0.0.1:0", [])
    await server.start()
    waiting.health = server.address
    told: list[str] = []
    try:
        assert not await asyncio.to_thread(serving, server.address)
        task = asyncio.create_task(
            asyncio.to_thread(wait_until_serving, [waiting], 20, lambda process: told.append(process.name))
        )
        await server.set_serving(True)
        await task
    finally:
        await server.stop()
    assert told == ["child"]


def test_death_while_starting(tmp_path: Path) -> None:
    """A service that ends while starting is told with the end of its log."""
    process = child(tmp_path, "import sys; sys.exit('no such model: maxi')")
    process.start()
    with pytest.raises(StartError, match="no such model: maxi"):
        wait_until_serving([process], 20, lambda _: None)


def test_too_slow(waiting: Process) -> None:
    """A service that never serves is told after the time-out."""
    with pytest.raises(StartError, match="did not serve within 0 s"):
        wait_until_serving([waiting], 0, lambda _: None)


def test_asked_to_stop(waiting: Process) -> None:
    """A signal during the start ends the wait."""
    wait_until_serving([waiting], 60, lambda _: None, asked_to_stop=lambda: True)
    assert not health.serving(waiting.health)


def test_end_of_log(tmp_path: Path) -> None:
    """Only the last lines of a log are shown, with its name."""
    process = child(tmp_path, "")
    assert process.end_of_log() == f"the end of {process.log}:"
    process.log.write_text("\n".join(map(str, range(100))))
    assert process.end_of_log(2) == f"the end of {process.log}:\n98\n99"
