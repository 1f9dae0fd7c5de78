"""Promise 3: it fails closed when policy, decoder, every pod, disk, record, its key or its KMS breaks."""

import asyncio
import tempfile
import time
from collections import Counter
from pathlib import Path

from bench.promises.closed.asking import ALLOWED, LOOK_SECONDS, running, sound
from bench.promises.closed.looks import decoder, pods, policy
from bench.promises.closed.record import disk, evidence_key, kms, store
from bench.promises.contract import Outcome, Promise
from bench.promises.estate import Estate

FULL_COUNT = 10_000


async def break_all(folder: Path, count: int, seconds: float) -> dict[str, Counter[str]]:
    """What was answered while each of them was broken, `count` times each or as often as time allows."""
    found: dict[str, Counter[str]] = {}
    ends = time.monotonic() + seconds
    estate = Estate(folder / "stub", settings={"look_seconds": LOOK_SECONDS})
    # However little time there is: files are taken up within a second, seven times over.
    share = max(seconds / 9, 30.0)
    parts = (
        ("policy", policy),
        ("pods", pods),
        ("disk", disk),
        ("store", store),
        ("evidence key", evidence_key),
    )
    async with running(estate):
        for name, part in parts:
            await sound(estate)
            found[name] = await part(estate, count, time.monotonic() + share)
        await sound(estate)
    found["kms"] = await kms(folder / "kms", count, share)
    # It takes the most: what the others have left of the time is for it.
    found["decoder"] = await decoder(folder / "real", count, max(3 * share, ends - time.monotonic()))
    return found


def run(seconds: float) -> Outcome:
    """Break one after the other, and count what was allowed."""
    count = min(FULL_COUNT, max(20, round(seconds * 9) - 40))
    with tempfile.TemporaryDirectory() as name:
        found = asyncio.run(break_all(Path(name), count, seconds * 0.9))
    wrong = {name: told[ALLOWED] for name, told in found.items() if told[ALLOWED]}
    for name in wrong:
        print(f"{name}: allowed while broken: {dict(found[name])}")
    allowed = sum(wrong.values())
    tried = {name: sum(told.values()) for name, told in found.items()}
    what = "ALLOW while broken; requests: " + ", ".join(f"{name} {count}" for name, count in tried.items())
    least = min(tried.values())
    return Outcome(least, FULL_COUNT, allowed, 0, what, allowed == 0 and least > 0)


PROMISE = Promise(3, "Fails closed", run)
