"""The process that decodes: reads files from the socket on descriptor 0 and answers there."""

import json
import os
import socket
import sys

from ostiary_moderation.decode.canonical import Wanted, canonicalise
from ostiary_moderation.decode.limits import Limits
from ostiary_moderation.decode.protocol import REQUEST, encode, hello, view_spec
from ostiary_moderation.decode.sandbox import ResourceSandbox, Sandbox
from ostiary_moderation.views import ViewSpec


def serve(pod: socket.socket, sandbox: Sandbox, limits: Limits, views: ViewSpec | None) -> None:
    """Answer requests until the pod closes its end."""
    pod.sendall(hello(sandbox.enter()))
    while (request := _receive(pod, limits.max_bytes)) is not None:
        sandbox.next_image()
        data, pixels = request
        for part in encode(canonicalise(data, limits, Wanted(pixels=pixels, views=views))):
            pod.sendall(part)


def _receive(pod: socket.socket, max_bytes: int) -> tuple[bytes, bool] | None:
    """Return the next file and whether its pixels are wanted, or None once the pod has closed its end."""
    prefix = pod.recv(REQUEST.size, socket.MSG_WAITALL)
    if len(prefix) < REQUEST.size:
        return None
    size, pixels = REQUEST.unpack(prefix)
    if size > max_bytes:
        raise ValueError(f"a file of {size} bytes; the pod should have refused it")
    data = pod.recv(size, socket.MSG_WAITALL)
    return (data, pixels) if len(data) == size else None


def main() -> None:
    """Serve on descriptor 0 with the limits in the first argument and the views in the second (JSON)."""
    limits = Limits(**json.loads(sys.argv[1]))
    views = view_spec(json.loads(sys.argv[2]))
    pod = socket.socket(fileno=0)
    # From here on nothing that an image can provoke reaches the pod's logs.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    serve(pod, ResourceSandbox(limits), limits, views)


if __name__ == "__main__":
    main()
