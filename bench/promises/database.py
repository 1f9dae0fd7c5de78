"""A PostgreSQL that can be killed."""

import subprocess
import time
from typing import Any

import psutil
import psycopg

_ATTEMPTS = 20
_PAUSE_SECONDS = 0.2
_RECOVERED_SECONDS = 60.0
_RECOVERING = "postgres: startup"


class KillableDatabase:
    """A server that runs. What it is killed by leaves it to recover from its write-ahead log."""

    def __init__(self, server: Any) -> None:
        self._server = server

    @property
    def url(self) -> str:
        """Where it is, the same after each start."""
        url: str = self._server.get_uri()
        return url

    def kill(self) -> None:
        """SIGKILL to the postmaster and to all that it has started."""
        postmaster = psutil.Process(self._server.get_pid())
        doomed = [*postmaster.children(recursive=True), postmaster]
        postmaster.kill()  # first, or it would start anew what is killed below
        for process in doomed:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(doomed)

    def kill_backend(self, number: int) -> None:
        """SIGKILL to one of the processes that the postmaster has started; it then restarts them all.

        Not to the one that recovers what an earlier kill left: without it, PostgreSQL 18 waits for ever.
        """
        try:
            children = psutil.Process(self._server.get_pid()).children()
            doomed = [child for child in children if not "".join(child.cmdline()[:1]).startswith(_RECOVERING)]
            if doomed:
                doomed[number % len(doomed)].kill()
        except psutil.NoSuchProcess:
            return

    def start(self) -> None:
        """Starts it again, and returns once it has recovered.

        Raises:
            RuntimeError: it does not come back.
        """
        for _ in range(_ATTEMPTS):
            try:
                self._server.ensure_postgres_running()
            except (subprocess.SubprocessError, AssertionError):
                time.sleep(_PAUSE_SECONDS)  # the kernel still counts who was attached to its memory
            else:
                return
        raise RuntimeError(f"the database does not come back: {self._server.log.read_text()[-2000:]}")

    def recovered(self) -> None:
        """Returns once it takes connections again, whatever was killed.

        Raises:
            RuntimeError: it does not come back.
        """
        ends = time.monotonic() + _RECOVERED_SECONDS
        while True:
            try:
                psycopg.connect(self.url).close()
            except psycopg.OperationalError as error:
                if time.monotonic() > ends:
                    raise RuntimeError(f"the database does not come back: {error}") from error
                time.sleep(_PAUSE_SECONDS)
            else:
                return
