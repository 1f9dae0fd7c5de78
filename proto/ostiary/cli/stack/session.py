"""One run of `ostiary up`: starts, reports, watches and stops."""

import signal
import threading
from pathlib import Path
from types import FrameType

import typer
from rich.console import Console

from ostiary.cli.stack import health, stack
from ostiary.cli.stack.layout import Layout
from ostiary.cli.stack.process import Process, stop_all

_WATCH_SECONDS = 0.3


class Session:
    """The stack of one folder with this many pods.

    From `start` on, SIGINT and SIGTERM ask it to stop; asked twice, it stops at once.
    """

    def __init__(self, layout: Layout, pods: int) -> None:
        self._layout = layout
        self._pods = pods
        self._processes: list[Process] = []
        self._stop = threading.Event()

    @property
    def stopping(self) -> bool:
        """Whether a signal has asked for the end."""
        return self._stop.is_set()

    def running(self) -> bool:
        """Whether all of it runs and serves already.

        Raises:
            ValueError: it runs with another number of pods.
        """
        found = stack.recorded(self._layout) if self._layout.run.exists() else []
        wanted = {"gateway", *(f"pod-{number}" for number in range(self._pods))}
        surplus = {process.name for process in found} - wanted
        if surplus:
            names = ", ".join(sorted(surplus))
            raise ValueError(f"{names} runs as well: `ostiary down --dir {self._layout.root}` first")
        return len(found) == len(wanted) and all(health.serving(process.health) for process in found)

    def start(self, bundle: str, port: int, seconds: float) -> None:
        """Prepares the files, starts what does not run, and waits until all serve or a signal comes.

        Raises:
            ValueError: what is on disk cannot be used.
            StartError: a service did not come up; those that were started are stopped again.
        """
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)
        console = Console(stderr=True)
        with stack.locked(self._layout), console.status("preparing certificates and settings") as status:
            # A folder is meant as seen from here, a shipped name as it is.
            chosen = str(Path(bundle).resolve()) if Path(bundle).is_dir() else bundle
            stack.prepare(self._layout, self._pods, chosen, port)
            self._processes = stack.processes(self._layout, self._pods)
            status.update("starting: " + ", ".join(process.name for process in self._processes))

            def told(process: Process) -> None:
                console.print(f"[green]✓[/] {process.name} serves", highlight=False)

            stack.start_missing(self._processes, seconds, told, self._stop.is_set)

    def watch(self) -> None:
        """Waits for a signal, then stops all.

        Raises:
            StartError: a service has ended by itself; the others are stopped too.
        """
        while not self._stop.wait(_WATCH_SECONDS):
            for process in self._processes:
                if process.pid() is None:
                    self.stop()
                    raise health.StartError(f"{process.name} has ended; {process.end_of_log()}")
        self.stop()

    def stop(self) -> None:
        """Stops all, the gateway first, whoever has started it."""
        typer.echo("stopping", err=True)
        stop_all(self._processes or stack.recorded(self._layout))

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._stop.is_set():
            # Asked twice: no grace.
            for process in self._processes:
                process.signal(signal.SIGKILL)
        self._stop.set()
