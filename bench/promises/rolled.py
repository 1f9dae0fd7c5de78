"""Promise 6: versions roll and are rolled back under load, and no caller notices.

A keeper, two gateways and the pods of two versions are processes on a sandbox cluster. While callers ask
without a pause, and without a second try, versions roll in steps and are taken back by order, many times.
Every check has to be judged, by pods of a version that had traffic while the check was under way, and its
receipt has to name that version's bundle and the policy in force.
"""

from __future__ import annotations

import asyncio
import itertools
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import grpc

from bench.gateway.load import CHECK
from bench.keeper.stage import Stage
from bench.promises.contract import Outcome, Promise
from bench.promises.estate import Estate
from bench.promises.fleet import Fleet, fleet
from ostiary.v1.decision_pb2 import Verdict
from ostiary.v1.image_pb2 import Image
from ostiary.v1.moderation_pb2 import CheckRequest, CheckResponse
from ostiary_operator.cluster import kinds

MOVES = 100
_VERSIONS = {"v1": "1" * 64, "v2": "2" * 64}
_CALLERS, _PAUSE_SECONDS, _LIMIT_SECONDS = 6, 0.02, 20.0
_LOOK_SECONDS, _CHECKS_PER_SECOND, _PODS = 0.01, 400.0, 1
_STEPS = [{"setWeight": 1000}, {"pauseSeconds": 0.5}, {"setWeight": 5000}, {"pauseSeconds": 0.5}]
_WATCHED_SECONDS = 0.05
# Of a run's time, for starting and stopping.
_RESERVE_SECONDS = 20.0


@dataclass
class Tally:
    """What was asked and done, and what went wrong, in words."""

    checks: int = 0
    rolls: int = 0
    rollbacks: int = 0
    by_version: Counter[str] = field(default_factory=Counter)
    policies: set[bytes] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)


class Shares:
    """Which versions the route gave traffic to, and since when."""

    def __init__(self, running: Fleet) -> None:
        self._running = running
        self._looked = time.monotonic()
        self._seen: list[tuple[float, frozenset[str]]] = []

    async def watch(self) -> None:
        """Until cancelled."""
        while True:
            self._look()
            await asyncio.sleep(_WATCHED_SECONDS)

    def _look(self) -> None:
        """What is there now may have been there since the look before."""
        having = frozenset(self._running.stage.weights())
        if not self._seen or self._seen[-1][1] != having:
            self._seen.append((self._looked, having))
        self._looked = time.monotonic()

    def had(self, version: str, since: float, until: float) -> bool:
        """Whether a version had traffic at some time of a check. Gateways take a route up a moment later."""
        self._look()
        ends = [begin for begin, _ in self._seen[1:]] + [float("inf")]
        return any(
            version in having
            for (begin, having), end in zip(self._seen, ends, strict=True)
            if begin <= until and end >= since - _LIMIT_SECONDS / 4
        )


class Callers:
    """Callers that ask once each time, at all gateways in turn."""

    def __init__(self, estate: Estate, shares: Shares, tally: Tally) -> None:
        self._estate, self._shares, self._tally = estate, shares, tally
        self.stop = asyncio.Event()

    async def run(self) -> None:
        """Until told to stop."""
        async with asyncio.TaskGroup() as group:
            for number in range(_CALLERS):
                group.create_task(self._ask_on(number))

    async def _ask_on(self, number: int) -> None:
        async with self._estate.channels() as channels:
            for turn, channel in enumerate(itertools.cycle(channels)):
                if self.stop.is_set():
                    return
                await self._ask(channel, f"{number}-{turn}")
                await asyncio.sleep(_PAUSE_SECONDS)

    async def _ask(self, channel: grpc.aio.Channel, key: str) -> None:
        call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(CHECK)
        request = CheckRequest(images=[Image(data=f"image {key} ".encode() * 40)])
        begun = time.monotonic()
        self._tally.checks += 1
        try:
            answer = await call(request.SerializeToString(), timeout=_LIMIT_SECONDS)
        except grpc.aio.AioRpcError as error:
            self._tally.wrong.append(f"{key}: {error.code().name}: {error.details()}")
            return
        self._judge(key, CheckResponse.FromString(answer), begun)

    def _judge(self, key: str, response: CheckResponse, begun: float) -> None:
        receipt, wrong = response.receipt, self._tally.wrong
        by_digest = {bytes.fromhex(digest): name for name, digest in _VERSIONS.items()}
        version = by_digest.get(receipt.bundle.digest, "")
        self._tally.by_version[version] += 1
        self._tally.policies.add(receipt.policy_sha256)
        if response.verdict == Verdict.VERDICT_HOLD:
            wrong.append(f"{key}: held: {[one.detail for one in response.hold_reasons]}")
        elif not version or version != receipt.route_version:
            wrong.append(f"{key}: by {receipt.route_version}, with the bundle {receipt.bundle.digest.hex()}")
        elif not self._shares.had(version, begun, time.monotonic()):
            wrong.append(f"{key}: by {version}, which had no traffic")
        elif not receipt.policy or not receipt.policy_sha256:
            wrong.append(f"{key}: names no policy")


async def move(running: Fleet, tally: Tally, until: float) -> None:
    """Rolls v2 and takes it back by order, once at least, for so long."""
    stage = running.stage
    for number in itertools.count():
        await _deploy(stage, "v2")
        await running.serves("v2")
        tally.rolls += 1
        await stage.order(f"back-{number}", toVersion="v1")
        await stage.until(lambda: stage.weights() == {"v1": 10_000}, 60.0)
        tally.rollbacks += 1
        await _deploy(stage, "v1")
        await stage.remove(kinds.MODEL_OVERRIDES, f"back-{number}")
        await running.serves("v1")
        if time.monotonic() > until or tally.wrong:
            return


async def _deploy(stage: Stage, version: str) -> None:
    await stage.deployment(version, replicas=_PODS, strategy={"canary": {"steps": _STEPS}})


async def prove(folder: Path, seconds: float) -> Tally:
    """One run, of so many seconds or a few more."""
    tally = Tally()
    async with fleet(folder, replicas=2) as running:
        running.scripted_pods(_LOOK_SECONDS)
        for name, digest in _VERSIONS.items():
            artifact = {"uri": f"file:///bundles/{name}", "digest": f"sha256:{digest}"}
            await running.stage.version(name, checksPerSecond=_CHECKS_PER_SECOND, artifact=artifact)
        await _deploy(running.stage, "v1")
        await running.start("v1")
        shares = Shares(running)
        callers = Callers(running.estate, shares, tally)
        watching, asking = asyncio.create_task(shares.watch()), asyncio.create_task(callers.run())
        try:
            await move(running, tally, time.monotonic() + seconds)
        finally:
            callers.stop.set()
            await asking
            watching.cancel()
    return tally


def run(seconds: float) -> Outcome:
    """As many rolls and rollbacks as the time allows."""
    with tempfile.TemporaryDirectory() as folder:
        tally = asyncio.run(prove(Path(folder), max(seconds - _RESERVE_SECONDS, 0.0)))
    if len(tally.policies) != 1:
        tally.wrong.append(f"receipts name {len(tally.policies)} policies, and one was in force")
    for words in tally.wrong[:20]:
        print(words)
    shares = ", ".join(f"{count:,} by {name}" for name, count in sorted(tally.by_version.items()))
    moves = tally.rolls + tally.rollbacks
    what = (
        f"checks failed, held or misnamed, of {tally.checks:,} ({shares}); "
        f"{tally.rolls} rolls, {tally.rollbacks} rollbacks"
    )
    met = not tally.wrong and moves > 0 and len(tally.by_version) == len(_VERSIONS)
    return Outcome(moves, MOVES, len(tally.wrong), 0, what, met)


PROMISE = Promise(6, "Rollout is safe", run)
