"""Promise 4: rotation is invisible."""

import asyncio
import os
import random
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import grpc

from bench import forge
from bench.promises.contract import Outcome, Promise
from bench.promises.estate import CALLER_ID, DOMAIN, GATEWAY_ID, SERVER_NAME, Estate
from bench.promises.protected import status_of
from ostiary.client.result import Verdict
from ostiary.wire.channel import open_channel
from ostiary.wire.credentials import CredentialSource
from ostiary.wire.errors import OstiaryError

FULL_COUNT = 1_000
LIVE_SECONDS = 1.0
_CALLERS = 4
_PAUSE_SECONDS = 0.02
# Files are looked at once a second; the next change must find the last one everywhere.
_SETTLE_SECONDS = 1.3
_SPREAD_SECONDS = 0.3
_LEAVES_A_ROOT = 4
_PROBE_SECONDS = 0.02
# What each is let in to: whether it finds anything there does not matter.
_METHODS = {
    CALLER_ID: "/ostiary.v1.ModerationService/GetCheck",
    GATEWAY_ID: "/ostiary.v1.InferenceService/Status",
}
_REFUSED = {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}


@dataclass
class Tally:
    """What was counted.

    Attributes:
        rotations: sets of files that were replaced, a party each.
        calls: valid checks that were made.
        failed: those of them that were not answered with ALLOW, in words.
        live: seconds after its removal for which a live connection of a removed authority was served.
        new: connections that were served although their authority had been removed before.
    """

    rotations: int = 0
    calls: int = 0
    failed: list[str] = field(default_factory=list)
    live: list[float] = field(default_factory=list)
    new: int = 0


async def load(estate: Estate, tally: Tally, stop: asyncio.Event) -> None:
    """Checks, one after another, through one client that follows its files."""
    async with estate.client() as client:
        while not stop.is_set():
            tally.calls += 1
            try:
                result = await client.check(os.urandom(1_000), title="Cup")
            except OstiaryError as error:
                tally.failed.append(f"{error.reason}: {error.message}")
            else:
                if result.verdict is not Verdict.ALLOW:
                    tally.failed.append(f"{result.verdict}")
            await asyncio.sleep(_PAUSE_SECONDS)


class Stranger:
    """Somebody whose authority is about to be removed, with a connection that is open already."""

    def __init__(self, folder: Path, address: str, spiffe_id: str, old: forge.Holder, new: forge.Holder):
        files = forge.leaf(old, spiffe_id).write(folder, old.certificate, new.certificate)
        self._credentials = CredentialSource(files)
        self._address = address
        self._method = _METHODS[spiffe_id]
        self._channel = self._open()

    async def served(self) -> bool:
        """Whether the open connection is."""
        return await self._ask(self._channel)

    async def served_anew(self) -> bool:
        """Whether a new connection is."""
        async with self._open() as channel:
            return await self._ask(channel)

    async def close(self) -> None:
        """Closes the connection."""
        await self._channel.close()

    def _open(self) -> grpc.aio.Channel:
        return open_channel(self._address, self._credentials, server_name=SERVER_NAME)

    async def _ask(self, channel: grpc.aio.Channel) -> bool:
        return await status_of(channel, self._method, streams=False) not in _REFUSED


async def cut_off(stranger: Stranger, remove: Callable[[], None], tally: Tally, *, anew: bool) -> None:
    """Remove the stranger's authority, and see how long it is served.

    `anew`: try a new connection at once, which makes the server look at its files; without, the live one is
    on its own, and a new one is tried at the end.
    """
    assert await stranger.served()
    remove()
    removed = time.monotonic()
    if anew:
        tally.new += await stranger.served_anew()
    last = 0.0
    while time.monotonic() - removed < 2 * LIVE_SECONDS:
        asked = time.monotonic() - removed
        if await stranger.served():
            last = asked
        await asyncio.sleep(_PROBE_SECONDS)
    tally.live.append(last)
    if not anew:
        tally.new += await stranger.served_anew()
    await stranger.close()


class Rotations:
    """Replaces everybody's certificates, step by step, while calls go on."""

    def __init__(self, estate: Estate, tally: Tally, rng: random.Random) -> None:
        self._estate = estate
        self._tally = tally
        self._rng = rng
        self._root = estate.root
        self._issuer = dict.fromkeys(estate.mounts, self._root)

    async def leaves(self) -> None:
        """New certificates of the same authority for everybody, at moments of their own."""
        await self._everybody(lambda name: self._put(name, self._root, self._root))

    async def root(self, number: int) -> None:
        """A new authority: trusted by all, then issuing for all, then alone."""
        old, new = self._root, forge.authority(f"root {number}", trust_domain=DOMAIN)
        await self._everybody(lambda name: self._put(name, old, old, new))
        await self._everybody(lambda name: self._put(name, new, old, new))
        self._root = new
        folder = self._estate.folder / f"strangers/{number}"
        for name, address, spiffe_id in (
            ("gateway", self._estate.listen, CALLER_ID),
            ("pod-0", self._estate.addresses[0], GATEWAY_ID),
        ):
            stranger = Stranger(folder / name, address, spiffe_id, old, new)
            await cut_off(stranger, partial(self._put, name, new, new), self._tally, anew=bool(number % 2))
        rest = [name for name in self._estate.mounts if name not in ("gateway", "pod-0")]
        await self._everybody(lambda name: self._put(name, new, new), rest)

    def _put(self, name: str, issuer: forge.Holder, *roots: forge.Holder) -> None:
        self._estate.issue(name, issuer, *(root.certificate for root in roots))
        self._tally.rotations += 1

    async def _everybody(self, put: Callable[[str], None], names: list[str] | None = None) -> None:
        async def soon(name: str) -> None:
            await asyncio.sleep(self._rng.uniform(0, _SPREAD_SECONDS))
            put(name)

        waiting: list[Awaitable[None]] = [soon(name) for name in names or self._estate.mounts]
        await asyncio.gather(*waiting)
        await asyncio.sleep(_SETTLE_SECONDS)


async def rotate(folder: Path, count: int, seconds: float, seed: int = 0) -> Tally:
    """Rotations under load, until so many were made or the time is up."""
    tally, stop, ends = Tally(), asyncio.Event(), time.monotonic() + seconds
    estate = Estate(folder)
    try:
        await estate.start()
        loads = [asyncio.create_task(load(estate, tally, stop)) for _ in range(_CALLERS)]
        rotations, number = Rotations(estate, tally, random.Random(seed)), 0
        while tally.rotations < count and (number == 0 or time.monotonic() < ends):
            number += 1
            await rotations.root(number)
            for _ in range(_LEAVES_A_ROOT):
                if tally.rotations < count and time.monotonic() < ends:
                    await rotations.leaves()
        stop.set()
        await asyncio.gather(*loads)
    finally:
        await asyncio.to_thread(estate.stop)
    return tally


def run(seconds: float) -> Outcome:
    """Rotate leaves and authorities of everybody while checks go on."""
    with tempfile.TemporaryDirectory() as name:
        tally = asyncio.run(rotate(Path(name), FULL_COUNT, seconds * 0.9))
    late = sum(seconds > LIVE_SECONDS for seconds in tally.live)
    what = (
        f"of {tally.calls} valid calls failed, or removed authorities served too long; "
        f"{len(tally.live)} were removed, live connections served up to {max(tally.live):.2f} s, new ones "
        f"{tally.new} times"
    )
    wrong = len(tally.failed) + late + tally.new
    return Outcome(tally.rotations, FULL_COUNT, wrong, 0, what, wrong == 0 and tally.calls > 0)


PROMISE = Promise(4, "Rotation is invisible", run)
