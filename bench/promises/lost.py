"""Promise 5: nothing is lost, whatever is killed, and nothing is decided twice.

Two gateways over one store, two pods and a PostgreSQL, all of them processes that are killed again and again
while callers ask; each caller asks with its key, at either gateway, until it is answered. Then everything is
counted: what callers were told, what the store holds, what the log proves. A part of the time it is the same
over SQLite, which lives in the gateways and dies with them.
"""

import asyncio
import itertools
import random
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc
from sqlalchemy import create_engine, select

from bench import postgres
from bench.gateway.load import CHECK
from bench.promises.contract import Outcome, Promise
from bench.promises.database import KillableDatabase
from bench.promises.estate import Estate, Service
from ostiary.cli.audit.problem import Tampered
from ostiary.cli.audit.walk import LogWalk
from ostiary.tlog.keys import load_log_key
from ostiary.v1.image_pb2 import Image
from ostiary.v1.listing_pb2 import Listing
from ostiary.v1.moderation_pb2 import CheckRequest, CheckResponse
from ostiary.v1.record_pb2 import DecisionRecord
from ostiary_gateway.evidence import canonical_name
from ostiary_gateway.store.directory_evidence import DirectoryEvidence
from ostiary_gateway.store.key_file import KeyFile
from ostiary_gateway.store.schema import decisions

KILLS, REQUESTS = 1_000, 1_000_000
TENANT = "t"
_GATEWAYS, _PODS, _CALLERS = 2, 2, 12
_LOOK_SECONDS = 0.003
_ATTEMPT_SECONDS, _PAUSE_SECONDS = 5.0, 0.05
# From the last kill on, everything runs: by then each caller must have its answer.
_ANSWERED_SECONDS = 120.0
_LONGEST_PEACE = 1.5
_STARTS = 10
_ASKED_AGAIN = 0.05  # share of keys that are asked for once more after their answer
_EVIDENCE_LOOKED_AT = 2_000
# Of a run's time, for the store that is no process of its own, where there is time for both.
_SQLITE_SHARE, _BOTH_SECONDS = 0.25, 60.0
# Left for starting, for the last answers and for counting.
_RESERVE_SECONDS, _LEAST_SECONDS = 90.0, 5.0


@dataclass(frozen=True)
class Told:
    """What a caller was told. `images`: how many were looked at; none where no pod was up, which is HOLD."""

    check_id: str
    verdict: int
    log_index: int
    leaf_hash: bytes
    images: int


@dataclass
class Tally:
    """What was done, and what went wrong.

    Attributes:
        kills: by what was killed.
        told: by key, what its caller was told.
        wrong: what must not be, in words.
    """

    kills: Counter[str] = field(default_factory=Counter)
    told: dict[str, Told] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def tell(self, key: str, response: CheckResponse) -> None:
        """Note an answer, and hold it against an earlier one to the same key."""
        receipt = response.receipt
        told = Told(
            response.check_id,
            response.verdict,
            receipt.log_index,
            receipt.leaf_hash,
            len(response.images),
        )
        if self.told.setdefault(key, told) != told:
            self.wrong.append(f"{key} was answered {self.told[key]}, and then {told}")


class Callers:
    """Callers that ask at all gateways in turn until they are answered."""

    def __init__(self, estate: Estate, tally: Tally, seed: int) -> None:
        self._estate, self._tally, self._seed = estate, tally, seed
        self.stop = asyncio.Event()

    async def run(self) -> None:
        """Asks until told to stop; each question that was begun is asked until there is an answer."""
        async with asyncio.TaskGroup() as group:
            for number in range(_CALLERS):
                group.create_task(self._ask_on(number))

    async def _ask_on(self, number: int) -> None:
        chance = random.Random(f"{self._seed}/{number}")
        async with self._estate.channels() as channels:
            sent = 0
            while not self.stop.is_set():
                key = f"{self._seed}-{number}-{sent}"
                sent += 1
                for _ in range(2 if chance.random() < _ASKED_AGAIN else 1):
                    chance.shuffle(channels)
                    self._tally.tell(key, await _answer(channels, body(key)))


async def _answer(channels: Sequence[grpc.aio.Channel], sent: bytes) -> CheckResponse:
    """The answer to a request, however often it has to be asked for."""
    for channel in itertools.cycle(channels):
        try:
            call: Callable[..., Awaitable[bytes]] = channel.unary_unary(CHECK)
            return CheckResponse.FromString(await call(sent, timeout=_ATTEMPT_SECONDS))
        except grpc.aio.AioRpcError:
            await asyncio.sleep(_PAUSE_SECONDS)
    raise ValueError("nowhere to ask")


def body(key: str) -> bytes:
    """The request of a key."""
    image = Image(data=f"image of {key} ".encode() * 40)
    return CheckRequest(idempotency_key=key, images=[image], listing=Listing(title=key)).SerializeToString()


class Killer:
    """Kills one thing after another, at moments that its seed decides, and starts each again."""

    def __init__(self, estate: Estate, database: KillableDatabase | None, tally: Tally, seed: int) -> None:
        self._estate, self._database, self._tally = estate, database, tally
        self._chance = random.Random(seed)
        self._ways: list[tuple[float, Callable[[], Awaitable[None]]]] = [
            (4.0, self._kill_gateway),
            (1.0, self._kill_all_gateways),
            (3.0, self._kill_pod),
            (0.5, self._change_what_is_seen),
        ]
        if database is not None:
            self._ways += [(2.0, self._kill_database), (1.0, self._kill_backend)]

    async def run(self, until: float) -> None:
        """Kills until a moment of the monotonic clock; returns when all that was killed is back."""
        weights, ways = zip(*self._ways, strict=True)
        while time.monotonic() < until:
            await asyncio.sleep(self._chance.uniform(0.0, _LONGEST_PEACE))
            (way,) = self._chance.choices(ways, weights)
            await way()
        for service in (*self._estate.services.values(), *self._estate.gateways):
            await _up(service)

    async def _kill_gateway(self) -> None:
        await self._kill("gateway", self._chance.choice(self._estate.gateways))

    async def _kill_all_gateways(self) -> None:
        for gateway in self._estate.gateways:
            gateway.kill()
            self._tally.kills["gateway"] += 1
        for gateway in self._estate.gateways:
            gateway.start()

    async def _kill_pod(self) -> None:
        await self._kill("pod", self._chance.choice(list(self._estate.services.values())))

    async def _kill(self, kind: str, service: Service) -> None:
        # Mostly when it is at work; now and then while it starts, or recovers.
        if self._chance.random() < 0.8:
            await _up(service)
            await asyncio.sleep(self._chance.uniform(0.0, 0.3))
        service.kill()
        self._tally.kills[kind] += 1
        service.start()

    async def _kill_database(self) -> None:
        if self._database is not None:
            await asyncio.to_thread(self._database.kill)
            self._tally.kills["database"] += 1
            await asyncio.sleep(self._chance.uniform(0.0, 1.0))
            await asyncio.to_thread(self._database.start)

    async def _kill_backend(self) -> None:
        if self._database is not None:
            await asyncio.to_thread(self._database.kill_backend, self._chance.randrange(1_000))
            self._tally.kills["backend"] += 1

    async def _change_what_is_seen(self) -> None:
        """So that a second look at a key's image would lead to another verdict."""
        self._estate.mode(self._chance.choice(("good", "flag")))


async def _up(service: Service) -> None:
    """Returns once it is ready; one that has ended, for want of a database, is started again as
    a kubelet would.

    Raises:
        RuntimeError: it ends again and again.
    """
    for _ in range(_STARTS):
        try:
            await service.ready()
        except RuntimeError:
            await asyncio.sleep(_PAUSE_SECONDS)
            service.start()
        else:
            return
    await service.ready()


def verify(estate: Estate, store: str, tally: Tally) -> None:
    """Holds what callers were told against the store, the log and the evidence."""
    rows = recorded(store)
    leaves = published(estate, tally)
    for key, told in tally.told.items():
        found = rows.get(key, [])
        if found != [(told.check_id, told.verdict, told.log_index)]:
            tally.wrong.append(f"{key} was answered {told}, and on record is {found}")
        elif told.log_index >= len(leaves) or leaves[told.log_index] != told.leaf_hash:
            tally.wrong.append(f"entry {told.log_index} of the log is not that of the receipt of {key}")
    for key in rows.keys() - tally.told.keys():
        tally.wrong.append(f"{key} is on record, and its caller was never answered")
    asyncio.run(look_at_evidence(estate, tally))


def recorded(store: str) -> dict[str, list[tuple[str, int, int]]]:
    """By key, the check, the verdict and the log's entry of each of its decisions."""
    engine = create_engine(store)
    asked = select(
        decisions.c.idempotency_key, decisions.c.check_id, decisions.c.record, decisions.c.log_index
    )
    rows: dict[str, list[tuple[str, int, int]]] = {}
    with engine.connect() as connection:
        for key, check_id, record, index in connection.execute(asked):
            verdict = DecisionRecord.FromString(record).response.verdict
            rows.setdefault(key, []).append((check_id, verdict, index))
    engine.dispose()
    return rows


def published(estate: Estate, tally: Tally) -> list[bytes]:
    """The leaf hashes of the published log, which is verified."""
    walk = LogWalk(estate.home / "log", load_log_key(estate.home / "log.key").verifier)
    try:
        head = walk.head()
        return [step.leaf_hash for step in walk.advance(head[0])] if head else []
    except Tampered as error:
        tally.wrong.append(f"the log does not verify: {error}")
        return []


async def look_at_evidence(estate: Estate, tally: Tally) -> None:
    """Of some of the checks: what was looked at can be opened, and is what was sent."""
    evidence = DirectoryEvidence(estate.home / "evidence", KeyFile(estate.home / "evidence.key"))
    told = [(key, one) for key, one in tally.told.items() if one.images]
    for key, one in told[:: max(1, len(told) // _EVIDENCE_LOOKED_AT)]:
        image = CheckRequest.FromString(body(key)).images[0].data
        if await evidence.get(TENANT, one.check_id, canonical_name(0)) != b"canonical:" + image:
            tally.wrong.append(f"the evidence of {key} is not what was sent")


async def load(
    estate: Estate, database: KillableDatabase | None, tally: Tally, seed: int, seconds: float
) -> None:
    """Everything runs, is asked and is killed for so long; then everybody gets an answer."""
    await estate.start()
    callers, killer = Callers(estate, tally, seed), Killer(estate, database, tally, seed)
    asking = asyncio.create_task(callers.run())
    try:
        await killer.run(time.monotonic() + seconds)
        callers.stop.set()
        async with asyncio.timeout(_ANSWERED_SECONDS):
            await asking
    except TimeoutError:
        tally.wrong.append("some were never answered, although everything ran again")
    finally:
        asking.cancel()
        estate.stop()


@contextmanager
def opened(kind: str, folder: Path) -> Iterator[tuple[Estate, KillableDatabase | None, str]]:
    """An estate over a store of this kind, what can be killed of it, and its URL."""
    with ExitStack() as stack:
        database = None
        if kind == "PostgreSQL":
            database = KillableDatabase(stack.enter_context(postgres.running()))
        settings = {"store": database.url} if database else {}
        estate = Estate(folder, pods=_PODS, seconds=_LOOK_SECONDS, settings=settings, replicas=_GATEWAYS)
        url = database.url if database else f"sqlite:///{estate.home / 'ostiary.db'}"
        yield estate, database, url.replace("postgresql://", "postgresql+psycopg://")


def prove(kind: str, seed: int, seconds: float) -> Tally:
    """One store's run."""
    tally = Tally()
    with tempfile.TemporaryDirectory() as folder, opened(kind, Path(folder)) as (estate, database, url):
        asyncio.run(load(estate, database, tally, seed, seconds))
        if database is not None:
            database.recovered()
        verify(estate, url, tally)
    return tally


def run(seconds: float) -> Outcome:
    """As many kills as the time allows."""
    left = max(seconds - _RESERVE_SECONDS, _LEAST_SECONDS)
    share = _SQLITE_SHARE if left > _BOTH_SECONDS else 0.0
    runs = {"PostgreSQL": left * (1 - share), "SQLite": left * share}
    tallies = {kind: prove(kind, 5, given) for kind, given in runs.items() if given}
    kills = sum((tally.kills for tally in tallies.values()), Counter[str]())
    answered = sum(len(tally.told) for tally in tallies.values())
    wrong = [words for tally in tallies.values() for words in tally.wrong]
    for words in wrong[:20]:
        print(words)
    what = (
        f"verdicts lost or doubled; SIGKILLs: {', '.join(f'{n} of {kind}s' for kind, n in kills.items())}; "
        f"{answered:,} of {REQUESTS:,} requests; stores: {', '.join(tallies)}"
    )
    return Outcome(
        kills.total(), KILLS, len(wrong), 0, what, not wrong and answered > 0 and kills.total() > 0
    )


PROMISE = Promise(5, "Nothing is lost", run)
