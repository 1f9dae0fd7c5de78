"""Promise 15: one verdict per idempotency key, however often, concurrently and wherever it is asked for.

Two gateway processes over one store. Each key is sent a hundred times at once, half to either gateway, and
once more with another request, which must be told that the key is taken. After a run that was interrupted or
had too little time the next one goes on at the key where it stopped: the keys before it are on record, and
are never asked for again.
"""

import asyncio
import json
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing, contextmanager
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import yaml

from bench.promises.contract import Outcome, Promise
from bench.promises.denial import CHECK, serving
from bench.promises.protected import DOMAIN, credentials, prepare
from bench.promises.stub_pod import StubPod
from bench.promises.stub_pod import serving as pod_serving
from ostiary.cli.stack.files import free_ports
from ostiary.pki import Authority
from ostiary.v1.image_pb2 import Image
from ostiary.v1.listing_pb2 import Listing
from ostiary.v1.moderation_pb2 import CheckRequest, CheckResponse
from ostiary.wire.channel import open_channel
from ostiary.wire.errors import OstiaryError, Reason, from_rpc_error
from ostiary.wire.identity import SpiffeId

KEYS = 10_000
RETRIES = 100
GATEWAYS = 2
AT_ONCE = 3
FOLDER = Path(__file__).resolve().parents[2] / "build/prove-15"
_START = "from ostiary.cli.main import main; main()"
_LATER = {Reason.OVERLOADED, Reason.RATE_LIMITED, Reason.UNAVAILABLE, Reason.STORE_UNAVAILABLE}
_TRIES = 200
_START_SECONDS = 300.0
# The certificates of a run that stopped long ago are out of date: it starts anew.
_GOES_ON_SECONDS = 90 * 60.0
# Left for starting and stopping the gateways, and for counting in the store.
_RESERVE_SECONDS = 60.0
_LEAST_SECONDS = 1.0


@dataclass
class Tally:
    """What many keys came to.

    Attributes:
        keys: how many were asked for.
        answers: how many callers were answered.
        looks: how often a pod looked.
        several: keys that led to more than one verdict.
        failed: callers that never got an answer.
        another: callers with another request that were not told that the key is taken.
    """

    keys: int = 0
    answers: int = 0
    looks: int = 0
    several: int = 0
    failed: int = 0
    another: int = 0

    def add(self, key: "Asked") -> None:
        """Count one key."""
        self.keys += 1
        self.answers += key.answers
        self.several += len(key.check_ids) != 1 or key.fresh > 1
        self.failed += key.failed
        self.another += not key.taken


@dataclass(frozen=True)
class Asked:
    """What came of one key: the checks that were answered with, and how the callers fared."""

    check_ids: frozenset[str]
    answers: int
    fresh: int
    failed: int
    taken: bool


class Progress:
    """How far a run has come, kept in a file of its folder."""

    def __init__(self, folder: Path, code: str) -> None:
        self.folder = folder
        self._file = folder / "progress.json"
        self._code = code
        self._began = time.time()

    def load(self) -> Tally | None:
        """What an earlier run of the same code came to; None where there is none to go on with."""
        if not self._file.exists():
            return None
        found = json.loads(self._file.read_text(encoding="utf-8"))
        current = found["code"] == self._code and time.time() - found["began"] < _GOES_ON_SECONDS
        if not current:
            return None
        self._began = found["began"]
        return Tally(**found["tally"])

    def save(self, tally: Tally) -> None:
        """Keep it, whole or not at all."""
        staged = self._file.with_suffix(".new")
        document = {"code": self._code, "began": self._began, "tally": asdict(tally)}
        staged.write_text(json.dumps(document), encoding="utf-8")
        staged.replace(self._file)


def set_up(folder: Path) -> None:
    """A gateway's folder with certificates, and one for the pod."""
    prepare(folder)
    authority = Authority.load(folder / "pki")
    identity = SpiffeId(DOMAIN, "/role/pod")
    authority.issue(out=folder / "pod", id=identity, dns=("localhost",), ips=(), lifetime=timedelta(hours=2))


@asynccontextmanager
async def gateways(folder: Path, pod: str) -> AsyncIterator[list[str]]:
    """Addresses of gateway processes that share everything in the folder, and look at one pod."""
    endpoint = {"address": pod, "serverName": "localhost"}
    route = {"name": "main", "versions": [{"name": "v1", "weight": 10_000, "endpoints": [endpoint]}]}
    (folder / "route.yaml").write_text(yaml.safe_dump(route), encoding="utf-8")
    settings: dict[str, Any] = yaml.safe_load((folder / "gateway.yaml").read_text(encoding="utf-8"))
    # Callers wait for their turn rather than come back: it is not admission that is shown here.
    settings |= {"admission": {"max_checks": 512, "max_wait": 10.0}, "reuse": None, "inspect": None}
    settings["admission"]["others"] = {"burst": 1_000_000}
    ports = free_ports(2 * GATEWAYS)
    async with AsyncExitStack() as stack:
        addresses, started = [], []
        for number in range(GATEWAYS):
            settings["listen"], settings["health"] = (f"127.0.0.1:{ports.pop()}" for _ in range(2))
            file = folder / f"gateway-{number}.yaml"
            file.write_text(yaml.safe_dump(settings), encoding="utf-8")
            log = folder / f"gateway-{number}.log"
            process = stack.enter_context(_process(file, log))
            addresses.append(settings["listen"])
            started.append((process, settings["health"], log))
        for process, health, log in started:
            await _served(process, health, log)
        yield addresses


@contextmanager
def _process(file: Path, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A gateway in a process of its own, told to stop on leaving."""
    command = [sys.executable, "-c", _START, "gateway", "serve", "--config", str(file)]
    with log.open("ab") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(60)


async def _served(process: subprocess.Popen[bytes], health: str, log: Path) -> None:
    """Wait until a gateway serves. Raises RuntimeError where it ends instead."""
    waiting = asyncio.create_task(serving(health, _START_SECONDS))
    while not waiting.done():
        if process.poll() is not None:
            waiting.cancel()
            raise _ended(process, log)
        await asyncio.wait([waiting], timeout=0.2)
    await waiting


def _ended(process: subprocess.Popen[bytes], log: Path) -> RuntimeError:
    said = log.read_text(encoding="utf-8")
    return RuntimeError(f"a gateway ended with {process.returncode} while starting: {said}")


def body(key: str, title: str = "Cup") -> bytes:
    """The request of a key."""
    image = Image(data=f"image of {key}".encode() * 20)
    request = CheckRequest(idempotency_key=key, images=[image], listing=Listing(title=title))
    return request.SerializeToString()


async def ask(channel: grpc.aio.Channel, sent: bytes) -> CheckResponse | OstiaryError:
    """What a caller hears that comes back for as long as there is no room."""
    method: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(CHECK)
    error = OstiaryError(Reason.UNAVAILABLE, "never asked")
    for _ in range(_TRIES):
        try:
            return CheckResponse.FromString(await method(sent, timeout=60))
        except grpc.aio.AioRpcError as failure:
            error = from_rpc_error(failure)
        if error.reason not in _LATER:
            break
        await asyncio.sleep(error.retry_after or 0.05)
    return error


async def ask_all(channels: Sequence[grpc.aio.Channel], key: str, retries: int) -> Asked:
    """What became of one key, asked for at once from all sides, and then with another request."""
    sent = body(key)
    calls = [ask(channels[number % len(channels)], sent) for number in range(retries)]
    answers = [each for each in await asyncio.gather(*calls) if isinstance(each, CheckResponse)]
    other = await ask(channels[-1], body(key, "Another cup"))
    return Asked(
        frozenset(answer.check_id for answer in answers),
        len(answers),
        sum(not answer.replayed for answer in answers),
        retries - len(answers),
        isinstance(other, OstiaryError) and other.reason is Reason.ALREADY_EXISTS,
    )


def recorded(folder: Path) -> tuple[int, int]:
    """How many verdicts the store holds, and how many keys they are of."""
    uri = f"file:{folder / 'ostiary.db'}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True)) as store:
        query = "SELECT count(*), count(DISTINCT idempotency_key) FROM decisions"
        verdicts, keys = store.execute(query).fetchone()
    return int(verdicts), int(keys)


async def ask_keys(progress: Progress, tally: Tally, keys: int, retries: int, seconds: float) -> None:
    """Ask for keys until there are so many, or for so many seconds."""
    folder, pod = progress.folder, StubPod()
    identity = SpiffeId(DOMAIN, "/role/gateway")
    async with (
        pod_serving(pod, credentials(folder / "pod"), identity) as server,
        gateways(folder, server.address) as addresses,
        AsyncExitStack() as stack,
    ):
        caller = credentials(folder / "pipeline")
        channels = [
            await stack.enter_async_context(open_channel(address, caller, server_name="localhost"))
            for address in addresses
        ]
        until, before = time.monotonic() + seconds, tally.looks
        while tally.keys < keys and (time.monotonic() < until or not tally.keys):
            at_once = range(tally.keys, min(keys, tally.keys + AT_ONCE))
            asking = (ask_all(channels, f"key-{number}", retries) for number in at_once)
            for asked in await asyncio.gather(*asking):
                tally.add(asked)
            tally.looks = before + pod.looks
            progress.save(tally)


def prove(folder: Path, code: str, keys: int, retries: int, seconds: float) -> tuple[Tally, int, int]:
    """Go on where an earlier run stopped: the tally, and verdicts and keys in the store."""
    progress = Progress(folder, code)
    tally = progress.load()
    if tally is None:
        shutil.rmtree(folder, ignore_errors=True)
        set_up(folder)
        tally = Tally()
        progress.save(tally)
    asyncio.run(ask_keys(progress, tally, keys, retries, max(seconds - _RESERVE_SECONDS, _LEAST_SECONDS)))
    verdicts, found = recorded(folder)
    if tally.keys >= keys:
        shutil.rmtree(folder)
    return tally, verdicts, found


def run(seconds: float) -> Outcome:
    """Ask for as many keys as the time allows."""
    from bench.prove import code_digest

    tally, verdicts, found = prove(FOLDER, code_digest(), KEYS, RETRIES, seconds)
    wrong = (
        tally.several + tally.failed + tally.another + abs(verdicts - tally.keys) + abs(found - tally.keys)
    )
    if wrong:
        print(f"{tally}; {verdicts} verdicts of {found} keys on record")
    what = (
        f"keys × {RETRIES} callers at {GATEWAYS} gateways with none or several verdicts; "
        f"{tally.answers:,} answers, {verdicts:,} verdicts on record, {tally.looks:,} looks"
    )
    return Outcome(tally.keys, KEYS, wrong, 0, what, wrong == 0 and tally.keys > 0)


PROMISE = Promise(15, "Idempotent", run)
