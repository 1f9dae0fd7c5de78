"""Promise 3: it fails closed when policy, decoder, every pod, disk, record, its key or its KMS breaks."""

import asyncio
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, closing, contextmanager, suppress
from importlib.resources import files
from multiprocessing import get_context
from multiprocessing.synchronize import Event
from pathlib import Path

import grpc
import psutil
import yaml

from bench.fake_kms import FakeKms, FakePlugin, serving
from bench.promises.contract import Outcome, Promise
from bench.promises.estate import GATEWAY_ID, REPOSITORY, Estate, Service
from ostiary.client.result import Verdict
from ostiary.wire.errors import OstiaryError, Reason
from ostiary_gateway.store.sealing import create_evidence_key

FULL_COUNT = 10_000
_CALLERS = 16
_DECODER_CALLERS = 64  # each waits until its look is given up
_NO_ROOM_SECONDS = 0.05
_TAKEN_UP_SECONDS = 1.2  # files are looked at once a second
_LOOK_SECONDS = 0.5
_DECODER_LOOK_SECONDS = 3.0
_KMS_SECONDS = 0.5  # a plug-in's longest time for an answer
_KMS_NOTICED_SECONDS = 2.5
_BEGUN_SECONDS = 60.0
_KILL_EVERY_SECONDS = 0.02  # a decoder takes ten times as long to start
_ALLOWED = str(Verdict.ALLOW)
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


def _image() -> bytes:
    return os.urandom(500)


def _photograph() -> bytes:
    """A clean one, each time another file: what was seen of one shall not stand in for the next."""
    data = files("ostiary.demo").joinpath("images/cat.jpg").read_bytes()
    return data + os.urandom(8)


async def answers(
    estate: Estate, count: int, ends: float, image: Callable[[], bytes], callers: int = _CALLERS
) -> Counter[str]:
    """What so many checks are answered with: verdicts, or reasons of errors.

    A check for which there was no room shows nothing: it is asked again, and not counted before.
    """
    told: Counter[str] = Counter()
    todo = iter(range(count))
    async with estate.client() as client:

        async def answer() -> str:
            while True:
                try:
                    return str((await client.check(image(), title="Cup")).verdict)
                except OstiaryError as error:
                    if error.reason is not Reason.OVERLOADED or time.monotonic() > ends:
                        return str(error.reason)
                await asyncio.sleep(_NO_ROOM_SECONDS)

        async def work() -> None:
            for _ in todo:
                if time.monotonic() > ends:
                    return
                told[await answer()] += 1

        await asyncio.gather(*(work() for _ in range(min(callers, count))))
    del told[str(Reason.OVERLOADED)]
    return told


async def sound(estate: Estate, image: Callable[[], bytes] = _image, seconds: float = 30.0) -> None:
    """Returns once a clean image is allowed, as it is while nothing is broken.

    Raises:
        TimeoutError: it never is: what is broken afterwards would show nothing.
    """
    ends = time.monotonic() + seconds
    while not (await answers(estate, 1, ends, image))[_ALLOWED]:
        if time.monotonic() > ends:
            raise TimeoutError("no clean image is allowed: what is broken next would show nothing")
        await asyncio.sleep(0.2)


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


def refuses_to_start(estate: Estate) -> bool:
    """Whether a gateway with the files as they are ends as one that is told nonsense."""
    command = estate.gateway.command
    ended = subprocess.run(command, capture_output=True, cwd=REPOSITORY, timeout=60, check=False)
    return ended.returncode == 2


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
        told += await answers(estate, -(-count // len(kinds)), ends, _image)
    if not await asyncio.to_thread(refuses_to_start, estate):
        told[_ALLOWED] += 1  # a gateway without a policy serves
    estate.write("policy.yaml", good)
    estate.mode("good")
    return told


async def pods(estate: Estate, count: int, ends: float) -> Counter[str]:
    """Pods that err, talk nonsense or hang, and pods that are dead."""
    told: Counter[str] = Counter()
    each = -(-count // (len(BROKEN_PODS) + 1))
    for word in BROKEN_PODS:
        estate.mode(word)
        told += await answers(estate, each, ends, _image)
    for service in estate.services.values():
        service.kill()
    told += await answers(estate, each, ends, _image)
    estate.mode("good")
    for service in estate.services.values():
        service.start()
        await service.ready()
    return told


async def disk(estate: Estate, count: int, ends: float) -> Counter[str]:
    """A disk that takes no byte more, as the gateway has it: each write fails in the kernel."""
    process = psutil.Process(estate.gateway.pid)
    _, hard = process.rlimit(resource.RLIMIT_FSIZE)
    process.rlimit(resource.RLIMIT_FSIZE, (1, hard))
    try:
        return await answers(estate, count, ends, _image)
    finally:
        process.rlimit(resource.RLIMIT_FSIZE, (hard, hard))


def _away(store: Path) -> Callable[[], object]:
    kept = store.rename(store.with_name("away"))
    return lambda: kept.replace(store)


def _emptied(store: Path) -> Callable[[], object]:
    back = _away(store)
    store.touch()
    return back


def _copied(store: Path) -> Callable[[], object]:
    back = _away(store)
    shutil.copy(store.with_name("away"), store)
    return back


def _without_tables(store: Path) -> Callable[[], object]:
    def rename(old: str, new: str) -> None:
        with closing(sqlite3.connect(store, isolation_level=None, timeout=30)) as connection:
            connection.execute(f"ALTER TABLE {old} RENAME TO {new}")

    rename("decisions", "broken")
    return lambda: rename("broken", "decisions")


# What is done to the record's database; each gives back what makes it good.
BROKEN_STORES = (_away, _emptied, _copied, _without_tables)


async def store(estate: Estate, count: int, ends: float) -> Counter[str]:
    """A record whose database is away, empty, a copy of what it was, or without its tables."""
    told: Counter[str] = Counter()
    for damage in BROKEN_STORES:
        mend = await asyncio.to_thread(damage, estate.home / "ostiary.db")
        told += await answers(estate, -(-count // len(BROKEN_STORES)), ends, _image)
        await asyncio.to_thread(mend)
        await sound(estate)
    return told


def _another_key(path: Path) -> None:
    create_evidence_key(path)


def _no_key(path: Path) -> None:
    path.write_text("ostiary-evidence-key-1 AAAA\n", encoding="ascii")


def _nothing(_: Path) -> None:
    """The file stays away."""


BROKEN_KEYS = (_nothing, _another_key, _no_key)


async def evidence_key(estate: Estate, count: int, ends: float) -> Counter[str]:
    """A key-encryption key that is gone, another one, or none: while it is needed, and at a start."""
    told: Counter[str] = Counter()
    path = estate.home / "evidence.key"
    for damage in BROKEN_KEYS:
        kept = path.rename(path.with_name("kept.key"))
        damage(path)
        told += await answers(estate, -(-count // len(BROKEN_KEYS)), ends, _image)
        if not await asyncio.to_thread(refuses_to_start, estate):
            told[_ALLOWED] += 1  # a gateway serves that seals what nobody will open
        kept.replace(path)
        await sound(estate)
    return told


def _kms_unwell(plugin: FakePlugin) -> None:
    plugin.healthz = "no route to the KMS"


def _kms_of_another_version(plugin: FakePlugin) -> None:
    plugin.version = "v1beta1"


def _kms_failing(plugin: FakePlugin) -> None:
    plugin.failing["Status"] = grpc.StatusCode.UNKNOWN


def _kms_hanging(plugin: FakePlugin) -> None:
    plugin.slow |= {"Status", "Encrypt", "Decrypt"}


def _kms_that_rotates_and_cannot_encrypt(plugin: FakePlugin) -> None:
    plugin.kms.rotate()
    plugin.failing["Encrypt"] = grpc.StatusCode.PERMISSION_DENIED


BROKEN_KMS = (
    _kms_unwell,
    _kms_of_another_version,
    _kms_failing,
    _kms_hanging,
    _kms_that_rotates_and_cannot_encrypt,
)


async def kms(folder: Path, count: int, seconds: float) -> Counter[str]:
    """A KMS in place of the key file whose plug-in is unwell, stuck, or gone; and at a start, another KMS."""
    socket, plugin = folder / "kms.sock", FakePlugin()
    given = {"socket": str(socket), "timeout_seconds": _KMS_SECONDS, "poll_seconds": 0.2, "grace_seconds": 0}
    settings = {"look_seconds": _LOOK_SECONDS, "evidence": {"dir": "evidence", "kms": given}}
    estate, told = Estate(folder, pods=1, settings=settings), Counter[str]()
    share = -(-count // (len(BROKEN_KMS) + 1))

    async def broken() -> None:
        await asyncio.sleep(_KMS_NOTICED_SECONDS)
        told.update(await answers(estate, share, ends, _image))

    async with AsyncExitStack() as stack:
        async with serving(plugin, socket):
            await stack.enter_async_context(running(estate))
            ends = time.monotonic() + seconds
            for damage in BROKEN_KMS:
                await sound(estate)
                damage(plugin)
                await broken()
                plugin.mend()
            await sound(estate)
            right, plugin.kms = plugin.kms, FakeKms()
            if not await asyncio.to_thread(refuses_to_start, estate):
                told[_ALLOWED] += 1  # a gateway serves that cannot open what there is
            plugin.kms = right
        await broken()
    return told


@asynccontextmanager
async def running(estate: Estate) -> AsyncIterator[Estate]:
    """The estate, started, and stopped in the end."""
    try:
        await estate.start()
        yield estate
    finally:
        await asyncio.to_thread(estate.stop)


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


async def break_all(folder: Path, count: int, seconds: float) -> dict[str, Counter[str]]:
    """What was answered while each of them was broken, `count` times each or as often as time allows."""
    found: dict[str, Counter[str]] = {}
    estate = Estate(folder / "stub", settings={"look_seconds": _LOOK_SECONDS})
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
    found["decoder"] = await decoder(folder / "real", count, 3 * share)
    return found


def run(seconds: float) -> Outcome:
    """Break one after the other, and count what was allowed."""
    count = min(FULL_COUNT, max(20, round(seconds * 9) - 40))
    with tempfile.TemporaryDirectory() as name:
        found = asyncio.run(break_all(Path(name), count, seconds * 0.9))
    wrong = {name: told[_ALLOWED] for name, told in found.items() if told[_ALLOWED]}
    for name in wrong:
        print(f"{name}: allowed while broken: {dict(found[name])}")
    allowed = sum(wrong.values())
    tried = {name: sum(told.values()) for name, told in found.items()}
    what = "ALLOW while broken; requests: " + ", ".join(f"{name} {count}" for name, count in tried.items())
    least = min(tried.values())
    return Outcome(least, FULL_COUNT, allowed, 0, what, allowed == 0 and least > 0)


PROMISE = Promise(3, "Fails closed", run)
