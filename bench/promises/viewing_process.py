"""Shows evidence until it is killed, again and again: `python -m bench.promises.viewing_process FOLDER`.

Reads a word a line. For each it forks a process that serves GetEvidence with the product's own handler, store
and wire, prints its id and, once it serves, its address; then waits for its end. The word says where that
process kills itself: `logged`: once the next view but some is on record; `unlogged`: before it is; `never`.
Forking spares each of a thousand processes the second that its imports take; nothing of gRPC runs before.
"""

import asyncio
import os
import sys
from contextlib import AsyncExitStack
from pathlib import Path

from bench.promises.deadly_log import DeadlyLog
from ostiary.v1 import audit_pb2
from ostiary.wire.credentials import CredentialFiles, CredentialSource
from ostiary.wire.server import ServerBuilder
from ostiary_gateway.rbac.authorizer import FileAuthorizer
from ostiary_gateway.review.viewing import EvidenceView
from ostiary_gateway.store.database_cases import open_cases
from ostiary_gateway.store.directory_evidence import DirectoryEvidence
from ostiary_gateway.store.key_file import KeyFile
from ostiary_gateway.store.opening import open_recorder


async def serve(folder: Path, origin: str, word: str) -> None:
    """Serve until killed."""
    store = folder / "ostiary.db"
    async with AsyncExitStack() as stack:
        recorder = await stack.enter_async_context(
            open_recorder(store=store, log_dir=folder / "log", log_key=folder / "log.key", origin=origin)
        )
        cases = await stack.enter_async_context(open_cases(store, origin))
        evidence = DirectoryEvidence(folder / "evidence", KeyFile(folder / "evidence.key"))
        tls = folder / "tls"
        builder = ServerBuilder(
            address="127.0.0.1:0",
            health_address=None,
            credentials=CredentialSource(CredentialFiles(tls / "ca.crt", tls / "tls.crt", tls / "tls.key")),
            authorizer=FileAuthorizer(folder / "roles.yaml"),
        )
        view = EvidenceView(cases, evidence, DeadlyLog(recorder, word))
        builder.add_service(audit_pb2.DESCRIPTOR.services_by_name["AuditService"], view.handlers())
        server = await builder.start()
        server.set_serving(True)
        _say(server.address)
        await asyncio.Event().wait()


def _say(word: object) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


def main() -> int:
    """Fork for each word."""
    folder, origin = Path(sys.argv[1]), sys.argv[2]
    for word in sys.stdin:
        child = os.fork()
        if child == 0:
            asyncio.run(serve(folder, origin, word.strip()))
            return 0
        _say(child)
        os.waitpid(child, 0)
    return 0


if __name__ == "__main__":
    sys.exit(main())
