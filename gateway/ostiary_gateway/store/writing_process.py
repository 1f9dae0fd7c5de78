"""Has items written by a process of its own, so that the disk does not hold up the event loop.

Making a file durable takes a dozen calls of the system. A thread that comes back from one waits for the
interpreter while the event loop has it, and then has the event loop wait: with threads, what checks waited
for most was that.
"""

import asyncio
import errno
import itertools
import os
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import cast

import structlog

import ostiary_gateway
from ostiary_gateway.store import writing_main
from ostiary_gateway.store.writing_main import REPLY, REQUEST

_log = structlog.get_logger(__name__)
_IMPORTED_FROM = str(Path(ostiary_gateway.__file__).parents[1])


class WritingProcess:
    """Writes items below a folder. For one event loop.

    The process starts with the first item, and anew with the next one after it has ended.
    """

    def __init__(self, root: Path) -> None:
        """`root` is made on the first write."""
        self._root = root
        self._starting = asyncio.Lock()
        self._connection: _Connection | None = None
        self._process: subprocess.Popen[bytes] | None = None

    async def write(self, path: str, data: bytes) -> None:
        """Put `data` in place of what the item at `path` (`tenant/check id/name`) held before, durably.

        Raises OSError where it cannot be written, or the process ended before it was.
        """
        connection = await self._connected()
        await connection.write(path, data)

    async def close(self) -> None:
        """End the process. What is being written is not waited for."""
        if self._connection is not None:
            self._connection.close()
        await self._reap()

    async def _connected(self) -> "_Connection":
        async with self._starting:
            if self._connection is None or self._connection.lost:
                await self._reap()
                self._connection = await self._start()
            return self._connection

    async def _start(self) -> "_Connection":
        ours, theirs = socket.socketpair()
        with theirs, ExitStack() as unless_started:
            unless_started.callback(ours.close)
            # Without the working folder, whose modules are not ours, and without `site`, which takes longer
            # than all the rest: nothing of what is installed is needed.
            module = [sys.executable, "-P", "-S", "-m", writing_main.__name__]
            self._process = await asyncio.to_thread(
                subprocess.Popen,
                [*module, str(theirs.fileno()), str(self._root)],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env={**os.environ, "PYTHONPATH": _IMPORTED_FROM},
            )
            unless_started.pop_all()
        _, connection = await asyncio.get_running_loop().create_unix_connection(_Connection, sock=ours)
        return connection

    async def _reap(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            await asyncio.to_thread(process.wait)


class _Connection(asyncio.Protocol):
    """The way to one process. `lost`: it has ended."""

    def __init__(self) -> None:
        self.lost = False
        self._closing = False
        self._numbers = itertools.count()
        self._waiting: dict[int, asyncio.Future[int]] = {}
        self._received = b""

    async def write(self, path: str, data: bytes) -> None:
        """See `WritingProcess.write`."""
        if self.lost:
            raise _ended()
        number, name = next(self._numbers), path.encode()
        answered: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answered
        self._transport.writelines((REQUEST.pack(number, len(name), len(data)) + name, data))
        if failure := await answered:
            raise OSError(failure, os.strerror(failure))

    def close(self) -> None:
        """Close it, which ends the process."""
        self._closing = True
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.BaseProtocol.connection_made`."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol.data_received`."""
        self._received += data
        whole = len(self._received) // REPLY.size * REPLY.size
        for number, failure in REPLY.iter_unpack(self._received[:whole]):
            answered = self._waiting.pop(number)
            if not answered.done():  # nobody may wait any more
                answered.set_result(failure)
        self._received = self._received[whole:]

    def connection_lost(self, error: Exception | None) -> None:
        """See `asyncio.BaseProtocol.connection_lost`."""
        self.lost = True
        waiting, self._waiting = self._waiting, {}
        for answered in waiting.values():
            if not answered.done():
                answered.set_exception(_ended())
        if not self._closing:
            _log.warning("evidence.writer_ended", unwritten=len(waiting))


def _ended() -> OSError:
    return OSError(errno.EPIPE, "the process that writes evidence has ended")
