"""The process that writes items for a gateway: `python -m ostiary_gateway.store.writing_main FD ROOT`.

FD is one end of a socket pair. What comes is a `REQUEST`, a path and an item, and so on; a `REPLY` answers
each as soon as the item is durable, or could not be made so. When the other end is closed, by a gateway that
stops or was killed, this process ends at once.
"""

import os
import signal
import socket
import struct
import sys
import threading
import traceback
from pathlib import Path
from queue import SimpleQueue

from ostiary_gateway.store.item_files import ItemFiles

REQUEST = struct.Struct("!QHQ")
"""A number, and the lengths of the path (UTF-8) and of the item that follow."""
REPLY = struct.Struct("!Qi")
"""The number of a request, and 0, or the `errno` of why the item is not written."""

# Each waits for the disk. The more wait at once, the more one commit of the file system serves.
AT_ONCE = 32


class _Writer:
    """Reads requests and has them written by threads."""

    def __init__(self, connection: socket.socket, files: ItemFiles) -> None:
        self._connection = connection
        self._files = files
        self._work: SimpleQueue[tuple[int, str, bytearray]] = SimpleQueue()
        self._replying = threading.Lock()

    def run(self) -> None:
        """Serve until the other end is closed."""
        for _ in range(AT_ONCE):
            threading.Thread(target=self._write, daemon=True).start()
        while head := self._read(REQUEST.size):
            number, path, item = REQUEST.unpack(head)
            self._work.put((number, self._read(path).decode(), self._read(item)))

    def _read(self, size: int) -> bytearray:
        """So many bytes; none where the other end is closed."""
        data = bytearray(size)
        rest = memoryview(data)
        while rest:
            count = self._connection.recv_into(rest, 0, socket.MSG_WAITALL)
            if not count:
                return bytearray()
            rest = rest[count:]
        return data

    def _write(self) -> None:
        try:
            while True:
                number, path, data = self._work.get()
                reply = REPLY.pack(number, self._written(path, data))
                with self._replying:
                    self._connection.sendall(reply)
        except BrokenPipeError:
            os._exit(0)  # nobody is there any more
        except BaseException:
            traceback.print_exc()
            os._exit(1)

    def _written(self, path: str, data: bytearray) -> int:
        try:
            self._files.write(path, data)
        except OSError as error:
            if error.errno is None:
                raise
            return error.errno
        return 0


def main() -> None:
    """Serve until the gateway is gone. How long that is, the gateway says, not who signals its group."""
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    with socket.socket(fileno=int(sys.argv[1])) as connection:
        _Writer(connection, ItemFiles(Path(sys.argv[2]))).run()
    # Without waiting for what is being written: nobody is told of it.
    os._exit(0)


if __name__ == "__main__":
    main()
