"""Breaks what checks are judged by: the policy, the pods, and a real pod's decoder."""

import asyncio
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.resources import files
from multiprocessing import get_context
from multiprocessing.synchronize import Event
from pathlib import Path

import psutil
import yaml

from bench.promises.closed.asking import ALLOWED, answers, refuses_to_start, running, sound
from bench.promises.estate import GATEWAY_ID, Estate, Service

_DECODER_CALLERS = 64  # each waits until its look is given up
_TAKEN_UP_SECONDS = 1.2  # files are looked at once a second
_DECODER_LOOK_SECONDS = 3.0
_BEGUN_SECONDS = 60.0
_KILL_EVERY_SECONDS = 0.02  # a decoder takes ten times as long to start
# Pods that answer, badly or never, and after them none at all.
BROKEN_PODS = (
    "internal",
    "unavailable",
    "empty",
    "wrong_hash",
    "no_images",
    "incomplete",
    "nonsense",
    "hang",
)


def _photograph() -> bytes:
    """A clean one, each time another file: what was seen of one shall not stand in for the next."""
    data = files("ostiary.demo").joinpath("images/cat.jpg").read_bytes()
    return data + os.urandom(8)


def malformed(good: str) -> dict[str, str | None]:
    """Policies that are none, by what is wrong with them; None: the file is missing."""
    return {
        "nothing": "",
        "half": good[: len(good) // 2] + "\n  [",
        "not YAML": "policies: [",
        "a number": "7",
        "unknown keys": good + "\nallowAll: true\n",
        "no text": "\u0000\u0001",
        "no file": None,
    }


async def policy(estate: Estate, count: int, ends: float) -> Counter[str]:
    """Flagged images, while the policy is replaced by ones that are none: the last good one must hold."""
    file = estate.home / "policy.yaml"
    good = file.read_text(encoding="utf-8")
    kinds = malformed(good)
    told: Counter[str] = Counter()
    estate.mode("flag")
    for text in kinds.values():
        if text is None:
            file.unlink()
        else:
            estate.write("policy.yaml", text)
        await asyncio.sleep(_TAKEN_UP_SECONDS)
        told += await answers(estate, -(-count // len(kinds)), ends)
    if not await asyncio.to_thread(refuses_to_start, estate):
        told[ALLOWED] += 1  # a gateway without a policy serves
    estate.write("policy.yaml", good)
    estate.mode("good")
    return told


async def pods(estate: Estate, count: int, ends: float) -> Counter[str]:
    """Pods that err, talk nonsense or hang, and pods that are dead."""
    told: Counter[str] = Counter()
    each = -(-count // (len(BROKEN_PODS) + 1))
    for word in BROKEN_PODS:
        estate.mode(word)
        told += await answers(estate, each, ends)
    for service in estate.services.values():
        service.kill()
    told += await answers(estate, each, ends)
    estate.mode("good")
    for service in estate.services.values():
        service.start()
        await service.ready()
    return told


async def decoder(folder: Path, count: int, seconds: float) -> Counter[str]:
    """A real pod whose decoders are killed faster than they start."""
    estate = Estate(folder, pods=1, settings={"look_seconds": _DECODER_LOOK_SECONDS})
    estate.services["pod-0"] = _real_pod(estate)
    async with running(estate):
        await sound(estate, _photograph, 90.0)
        with childless(estate.services["pod-0"].pid):
            ends = time.monotonic() + seconds
            return await answers(estate, count, ends, _photograph, _DECODER_CALLERS)


def _real_pod(estate: Estate) -> Service:
    stub = estate.services["pod-0"]
    tls = estate.mounts["pod-0"].files
    settings = {
        "listen": estate.addresses[0],
        "health": None,
        "admin": stub.admin,
        "tls": {"ca": str(tls.ca), "cert": str(tls.cert), "key": str(tls.key)},
        "clients": [GATEWAY_ID],
        "decode_workers": 1,
        "drain_seconds": 1.0,
    }
    path = estate.folder / "pod.yaml"
    path.write_text(yaml.safe_dump(settings), encoding="utf-8")
    command = [sys.executable, "-m", "ostiary.cli", "pod", "serve", "--config", str(path)]
    return Service("pod-0", command, stub.admin, estate.folder / "pod.log")


@contextmanager
def childless(pid: int) -> Iterator[None]:
    """Whatever a process starts is killed meanwhile: by a process of its own, which no load here holds up."""
    context = get_context("spawn")
    begun = context.Event()
    killer = context.Process(target=_kill_children, args=(pid, begun), daemon=True)
    killer.start()
    try:
        if not begun.wait(_BEGUN_SECONDS):
            raise TimeoutError("what kills decoders has not started")
        yield
    finally:
        killer.kill()
        killer.join()


def _kill_children(pid: int, begun: Event) -> None:
    with suppress(PermissionError):
        os.nice(-10)
    parent = psutil.Process(pid)
    while True:
        for child in parent.children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                child.kill()
        begun.set()
        time.sleep(_KILL_EVERY_SECONDS)
