"""One child process that outlives the command: its pid file, its log, how it is stopped."""

import json
import os
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

# More than the 30 s that a gateway gives to what it carries.
GRACE_SECONDS = 40.0
_POLL_SECONDS = 0.05
_BOOT = Path("/proc/sys/kernel/random/boot_id")


@dataclass
class Process:
    """A service of the stack: the command that it is, and its health address `host:port`."""

    name: str
    command: list[str]
    folder: Path
    health: str
    _child: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def log(self) -> Path:
        """What it prints."""
        return self.folder / f"{self.name}.log"

    @property
    def pid_file(self) -> Path:
        """Its process id, and when it started: a process id alone may by now be another's."""
        return self.folder / f"{self.name}.pid"

    def start(self) -> None:
        """Starts it in a session of its own: Ctrl-C reaches the command alone, which stops all in order."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._child = subprocess.Popen(  # noqa: S603  # our own command
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        pid = self._child.pid
        self.pid_file.write_text(json.dumps({"pid": pid, "started": started(pid)}), encoding="utf-8")

    def pid(self) -> int | None:
        """Its process id while it runs, else None."""
        if self._child is not None and self._child.poll() is not None:
            return None
        try:
            recorded = json.loads(self.pid_file.read_text(encoding="utf-8"))
            pid = int(recorded["pid"])
            return pid if recorded["started"] == started(pid) != "" else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal, if it still runs."""
        pid = self.pid()
        if pid is not None:
            os.kill(pid, number)

    def wait(self, seconds: float) -> bool:
        """Whether it ended within `seconds`."""
        deadline = time.monotonic() + seconds
        while self.pid() is not None:
            if time.monotonic() >= deadline:
                return False
            time.sleep(_POLL_SECONDS)
        self.pid_file.unlink(missing_ok=True)
        return True

    def end_of_log(self, lines: int = 15) -> str:
        """The last lines of its log, with its name."""
        text = self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""
        return "\n".join([f"the end of {self.log}:", *text.splitlines()[-lines:]])


def started(pid: int) -> str:
    """What tells this process from all that had or will have its id; empty where it does not run."""
    try:
        # The name, field 2, may hold spaces and brackets; the state is field 3 and the start time field 22.
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return "" if fields[0] == "Z" else f"{_BOOT.read_text(encoding='utf-8').strip()}/{fields[19]}"
    except (OSError, IndexError):
        return ""


def stop_all(processes: list[Process], grace: float = GRACE_SECONDS) -> list[str]:
    """Stops them in order, each given `grace` seconds to finish; the names of those that had to be killed."""
    killed = []
    for process in processes:
        process.signal(signal.SIGTERM)
        if not process.wait(grace):
            process.signal(signal.SIGKILL)
            process.wait(grace)
            killed.append(process.name)
    return killed
