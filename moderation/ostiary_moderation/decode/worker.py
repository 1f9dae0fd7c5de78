"""The process that decodes: reads files from the socket on descriptor 0 and answers there."""

import json
import os
import socket
import sys

from ostiary_moderation.decode.canonical import canonicalise
from ostiary_moderation.decode.limits import Limits
from ostiary_moderation.decode.protocol import LENGTH, encode, hello
from ostiary_moderation.decode.sandbox import ResourceSandbox, Sandbox


def serve(pod: socket.socket, sandbox: Sandbox, limits: Limits) -> None:
    """Answer requests until the pod closes its end."""
    pod.sendall(hello(sandbox.enter()))
    while (data := _receive(pod, limits.max_bytes)) is not None:
        sandbox.next_image()
        for part in encode(canonicalise(data, limits)):
            pod.sendall(part)


def _receive(pod: socket.socket, max_bytes: int) -> bytes | None:
    """Return the next file, or None once the pod has closed its end."""
    prefix = pod.recv(LENGTH.size, socket.MSG_WAITALL)
    if len(prefix) < LENGTH.size:
        return None
    (size,) = LENGTH.unpack(prefix)
    if size > max_bytes:
        raise ValueError(f"a file of {size} bytes; the pod should have refused it")
    data = bytearray(size)
    view = memoryview(data)
    while view:
        received = pod.recv_into(view)
        if not received:
            return None
        view = view[received:]
    return bytes(data)


def main() -> None:
    """Serve on descriptor 0 with the limits in the first argument (JSON)."""
    limits = Limits(**json.loads(sys.argv[1]))
    pod = socket.socket(fileno=0)
    # From here on nothing that an image can provoke reaches the pod's logs.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    serve(pod, ResourceSandbox(limits), limits)


if __name__ == "__main__":
    main()
