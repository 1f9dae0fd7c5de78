"""Promise 14: every view is recorded, wherever between log and release the gateway is killed."""

import asyncio
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import grpc

from bench import forge
from bench.promises.contract import Outcome, Promise
from bench.promises.deadly_log import LOGGED, NEVER, UNLOGGED
from bench.promises.estate import DOMAIN, GATEWAY_ID, ORIGIN, REPOSITORY, SERVER_NAME
from bench.promises.mounts import CertManager
from ostiary.v1.audit_pb2 import GetEvidenceRequest
from ostiary.v1.audit_pb2_grpc import AuditServiceStub
from ostiary.v1.decision_pb2 import Receipt, Verdict
from ostiary.v1.image_pb2 import CanonicalImage
from ostiary.v1.listing_pb2 import Listing
from ostiary.v1.moderation_pb2 import CheckResponse
from ostiary.v1.record_pb2 import EventRecord
from ostiary.wire.channel import open_channel
from ostiary.wire.credentials import CredentialSource
from ostiary_gateway.evidence import blurred_name, canonical_name
from ostiary_gateway.ids import new_check_id
from ostiary_gateway.init import init_gateway
from ostiary_gateway.offload import sha256
from ostiary_gateway.recorder import NewDecision
from ostiary_gateway.store.directory_evidence import DirectoryEvidence
from ostiary_gateway.store.key_file import KeyFile
from ostiary_gateway.store.opening import open_recorder

if TYPE_CHECKING:
    from ostiary.v1.audit_pb2_grpc import AuditServiceAsyncStub

FULL_COUNT = 1_000
AUDITOR_ID = f"spiffe://{DOMAIN}/tenant/t/role/auditor"
_VIEWERS = 4
_IMAGE_BYTES = 60_000
_LONGEST_BEFORE_KILL = 0.3
_LONGEST_ROUND = 20.0


@dataclass
class Desk:
    """A gateway's folder with one check on record, and reviewers who look at it.

    Attributes:
        folder: where the gateway's files are.
        auditor: the reviewers' certificate.
        check_id: the check.
        asked: how many views were asked for.
        released: the reasons of views of which a byte arrived.
    """

    folder: Path
    auditor: CredentialSource
    check_id: str
    asked: int = 0
    released: set[str] = field(default_factory=set)

    @classmethod
    async def make(cls, folder: Path) -> "Desk":
        """A new one."""
        home = folder / "gateway"
        init_gateway(home, trust_domain=DOMAIN, origin=ORIGIN)
        root = forge.authority(trust_domain=DOMAIN)
        gateway, auditor = CertManager(home / "tls"), CertManager(folder / "auditor")
        gateway.put(forge.leaf(root, GATEWAY_ID, dns=[SERVER_NAME]), root.certificate)
        auditor.put(forge.leaf(root, AUDITOR_ID), root.certificate)
        desk = cls(home, CredentialSource(auditor.files), new_check_id())
        await desk._record()
        return desk

    async def _record(self) -> None:
        data = os.urandom(_IMAGE_BYTES)
        key = KeyFile(self.folder / "evidence.key")
        async with DirectoryEvidence(self.folder / "evidence", key) as evidence:
            await evidence.put("t", self.check_id, canonical_name(0), data)
            await evidence.put("t", self.check_id, blurred_name(0), data[:4_000])
        image = CanonicalImage(sha256=await sha256(data), media_type="image/png")
        response = CheckResponse(
            check_id=self.check_id,
            verdict=Verdict.VERDICT_REVIEW,
            images=[image],
            receipt=Receipt(policy="default@1"),
        )
        new = NewDecision(self.check_id, "t", GATEWAY_ID, "", b"r" * 32, Listing(), response, None, "")
        store, log = self.folder / "ostiary.db", self.folder / "log"
        async with open_recorder(
            store=store, log_dir=log, log_key=self.folder / "log.key", origin=ORIGIN
        ) as recorder:
            await recorder.record(new)

    async def look(self, address: str) -> None:
        """Several reviewers look, again and again, until there is nobody left to ask."""
        async with open_channel(address, self.auditor, server_name=SERVER_NAME) as channel:
            stub: AuditServiceAsyncStub = AuditServiceStub(channel)
            await asyncio.gather(*(self._look(stub) for _ in range(_VIEWERS)))

    async def _look(self, stub: "AuditServiceAsyncStub") -> None:
        while True:
            self.asked += 1
            reason = f"view {self.asked}"
            request = GetEvidenceRequest(check_id=self.check_id, unblurred=self.asked % 2 == 0, reason=reason)
            try:
                async for part in stub.GetEvidence(request, timeout=_LONGEST_ROUND):
                    if part.data:
                        self.released.add(reason)
            except grpc.aio.AioRpcError as error:
                if error.code() is grpc.StatusCode.UNAVAILABLE:
                    return  # it was killed
                raise

    def recorded(self) -> set[str]:
        """The reasons of all views on record."""
        with closing(sqlite3.connect(self.folder / "ostiary.db")) as store:
            rows = store.execute("SELECT record FROM case_events WHERE kind = 'viewed'")
            return {EventRecord.FromString(record).reason for (record,) in rows}


class Gateways:
    """Starts gateways that will be killed, one at a time. Its methods block."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-m", "bench.promises.viewing_process", str(folder), ORIGIN]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, cwd=REPOSITORY, text=True)

    def start(self, word: str) -> tuple[int, str]:
        """Id and address of a gateway that serves."""
        if self._process.stdin is None or self._process.stdout is None:
            raise RuntimeError("the starter has no pipes")
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()
        process, address = (self._process.stdout.readline().strip() for _ in range(2))
        if not address:
            raise RuntimeError("a gateway ended before it served")
        return int(process), address

    def close(self) -> None:
        """Start no more."""
        self._process.communicate()


async def kill_one(desk: Desk, gateways: Gateways, rng: random.Random) -> None:
    """One gateway, looked at until it is killed: by itself beside the log, or from outside at any time."""
    word = rng.choice((LOGGED, UNLOGGED, NEVER))
    process, address = await asyncio.to_thread(gateways.start, word)
    looking = asyncio.create_task(desk.look(address))
    try:
        if word == NEVER:
            await asyncio.sleep(rng.uniform(0, _LONGEST_BEFORE_KILL))
            os.kill(process, signal.SIGKILL)
        async with asyncio.timeout(_LONGEST_ROUND):
            await looking
    finally:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


async def kill_all(folder: Path, count: int, ends: float) -> tuple[int, Desk]:
    """So many kills, or as many as there is time for."""
    desk, rng, done = await Desk.make(folder), random.Random(14), 0
    gateways = Gateways(desk.folder)
    try:
        while done < count and (done == 0 or time.monotonic() < ends):
            await kill_one(desk, gateways, rng)
            done += 1
    finally:
        await asyncio.to_thread(gateways.close)
    return done, desk


def run(seconds: float) -> Outcome:
    """Kill gateways while reviewers look, then hold what they saw against the record."""
    ends = time.monotonic() + seconds
    with tempfile.TemporaryDirectory() as name:
        done, desk = asyncio.run(kill_all(Path(name), FULL_COUNT, ends))
        recorded = desk.recorded()
    unlogged = len(desk.released - recorded)
    between = len(recorded - desk.released)
    what = (
        f"views released and not on record; {done} kills, {len(desk.released)} views released, "
        f"{between} recorded and never released"
    )
    return Outcome(done, FULL_COUNT, unlogged, 0, what, unlogged == 0 and bool(desk.released))


PROMISE = Promise(14, "Every view is recorded", run)
