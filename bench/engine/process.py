"""A server as a child process: held to its cores, watched from outside with everything that it starts."""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

_LOOK_SECONDS = 0.5
_STOP_SECONDS = 15.0


@dataclass
class Usage:
    """What a process and all below it took so far: CPU seconds by process, and the most memory at once."""

    seconds: dict[tuple[int, float], float] = field(default_factory=dict)
    peak_rss: int = 0

    @property
    def cpu(self) -> float:
        """CPU seconds of all, those that have ended included as far as they were seen."""
        return sum(self.seconds.values())


class ServerProcess:
    """One server under measurement. A context manager: on leaving, it and all below it are gone."""

    def __init__(
        self, command: Sequence[str], *, cores: Sequence[int], env: Mapping[str, str], log: Path
    ) -> None:
        self.log = log
        self._command = ["taskset", "--cpu-list", ",".join(map(str, cores)), *command]
        self._env = {**os.environ, **env}
        self._usage = Usage()
        self._seen: dict[int, psutil.Process] = {}
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._watcher = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> ServerProcess:
        with self.log.open("wb") as log:
            self._child = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._env
            )
        self._root = psutil.Process(self._child.pid)
        self._watcher.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.usage()
        self._over.set()
        self._watcher.join()
        self._child.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.wait(_STOP_SECONDS)
        # Those that outlive it were its own: a process seen below it keeps its identity, whatever its parent.
        left = [process for process in self._seen.values() if process.is_running()]
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(left, timeout=_STOP_SECONDS)
        self._child.wait(_STOP_SECONDS)

    @property
    def process(self) -> psutil.Process:
        """The server itself: `taskset` becomes it."""
        return self._root

    @property
    def ended(self) -> bool:
        """Whether the server has died."""
        return self._child.poll() is not None

    def usage(self) -> Usage:
        """What it took up to now."""
        with self._lock:
            self._look()
            return Usage(dict(self._usage.seconds), self._usage.peak_rss)

    def end_of_log(self, lines: int = 1) -> str:
        """The last lines of what it printed."""
        text = self.log.read_text(encoding="utf-8", errors="replace")
        return "\n".join(text.splitlines()[-lines:])

    def _watch(self) -> None:
        while not self._over.wait(_LOOK_SECONDS):
            with self._lock:
                self._look()

    def _look(self) -> None:
        memory = 0
        for process in self._tree():
            with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied), process.oneshot():
                times = process.cpu_times()
                self._usage.seconds[process.pid, process.create_time()] = times.user + times.system
                memory += process.memory_info().rss
        self._usage.peak_rss = max(self._usage.peak_rss, memory)

    def _tree(self) -> Iterator[psutil.Process]:
        with contextlib.suppress(psutil.NoSuchProcess):
            self._seen.setdefault(self._root.pid, self._root)
            for child in self._root.children(recursive=True):
                self._seen.setdefault(child.pid, child)
        yield from self._seen.values()
