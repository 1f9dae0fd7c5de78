"""A local stack as a whole: prepare its files, start what does not run, stop what does."""

import fcntl
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ostiary.cli.stack import certificates, files, health
from ostiary.cli.stack.layout import Layout
from ostiary.cli.stack.process import Process, stop_all

_INIT_FILES = ("roles.yaml", "policy.yaml", "lists", "log.key", "log.vkey", "evidence.key")


def ostiary(*arguments: str) -> list[str]:
    """The `ostiary` command of this very installation."""
    return [sys.executable, "-m", "ostiary.cli", *arguments]


def prepare(layout: Layout, pods: int, bundle: str, port: int) -> None:
    """Makes or renews whatever the stack needs on disk; never overwrites what people may have edited.

    Raises:
        ValueError: what is there cannot be used.
        StartError: `ostiary gateway init` failed.
    """
    certificates.issue_all(layout, pods)
    init_gateway(layout)
    files.write_profiles(layout, files.write_gateway(layout, port))
    files.write_route(layout, [files.write_pod(layout, number, bundle, pods) for number in range(pods)])


def init_gateway(layout: Layout) -> None:
    """Has the gateway write its default roles and policy, and its keys, where one is missing."""
    if all((layout.gateway / name).exists() for name in _INIT_FILES):
        return
    command = ostiary("gateway", "init", str(layout.gateway))
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # our own command
    if done.returncode:
        raise health.StartError(f"`ostiary gateway init` failed:\n{(done.stderr or done.stdout).strip()}")


def processes(layout: Layout, pods: int) -> list[Process]:
    """The gateway, then the pods: the order in which they are stopped."""
    gateway = Process(
        "gateway",
        ostiary("gateway", "serve", "--config", str(layout.gateway_yaml)),
        layout.run,
        str(files.read(layout.gateway_yaml).get("health", "")),
    )
    return [gateway, *(_pod(layout, number) for number in range(pods))]


def _pod(layout: Layout, number: int) -> Process:
    path = layout.pod_yaml(number)
    command = ostiary("pod", "serve", "--config", str(path))
    return Process(f"pod-{number}", command, layout.run, str(files.read(path).get("health", "")))


def recorded(layout: Layout) -> list[Process]:
    """All processes of the stack that run now, however many pods it was started with."""
    numbers = [int(path.stem.removeprefix("pod-")) for path in layout.run.glob("pod-*.pid")]
    known = processes(layout, 0) + [_pod(layout, number) for number in sorted(numbers)]
    return [process for process in known if process.pid() is not None]


def start_missing(
    wanted: list[Process], seconds: float, told: Callable[[Process], None], asked_to_stop: Callable[[], bool]
) -> None:
    """Starts those that do not run and waits until all serve; stops again what it started where that fails.

    Raises:
        StartError: one has ended, or not all serve after `seconds`.
    """
    missing = [process for process in wanted if process.pid() is None]
    try:
        for process in missing:
            process.start()
        health.wait_until_serving(wanted, seconds, told, asked_to_stop)
    except BaseException:
        stop_all(missing, grace=5.0)
        raise


@contextmanager
def locked(layout: Layout) -> Iterator[None]:
    """Keeps two commands from changing one stack at the same time.

    Raises:
        ValueError: another command is at it.
    """
    layout.run.mkdir(parents=True, exist_ok=True)
    with Path(layout.run / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ValueError(f"another `ostiary` command is starting or stopping {layout.root}") from error
        yield
