"""Workers in processes of their own: confined, replaced, and never the end of a check."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from PIL import Image

from moderation.decode.pictures import animation, different_frames, noise, plain, png_header, save
from ostiary_moderation.decode.canonical import Wanted, canonicalise
from ostiary_moderation.decode.limits import Limits
from ostiary_moderation.decode.pool import DecodePool
from ostiary_moderation.decode.process import DecodeWorker, WorkerLostError
from ostiary_moderation.decode.result import Canonical, Fault, FaultCode
from ostiary_moderation.views import PixelRange, ViewSpec, view_sizes

SPEC = ViewSpec(32, PixelRange(64 * 64, 128 * 128), PixelRange(128 * 128, 256 * 256))


@pytest.fixture
async def pool() -> AsyncIterator[DecodePool]:
    async with DecodePool() as running:
        yield running


async def settled(pool: DecodePool) -> None:
    """Wait until every image in hand is done and every lost worker is replaced."""
    while pool._tasks:
        await asyncio.wait(pool._tasks)


async def in_hand(pool: DecodePool) -> DecodeWorker:
    """Let a call that was just made begin; return the worker that it was given."""
    await asyncio.sleep(0)
    (busy,) = pool._workers - set(pool._idle._queue)
    return busy


def send(pool: DecodePool, number: signal.Signals) -> None:
    """Send a signal to every worker."""
    for pid in pool.pids:
        os.kill(pid, number)


async def test_a_worker_says_what_the_pure_part_says(pool: DecodePool) -> None:
    """The answer that came through the process boundary equals the one computed here."""
    for data in (noise("JPEG"), plain("PNG"), png_header(60_000, 60_000), b"text", b""):
        assert await pool.decode(data) == canonicalise(data)


@pytest.mark.parametrize("pixels", [True, False], ids=["with pixels", "without"])
async def test_views_are_made_by_the_worker(pixels: bool) -> None:
    """Each frame comes in the sizes that the model wants, as the pure part makes them; pixels if asked."""
    files = [noise("JPEG"), plain("PNG", (200, 20)), animation("GIF", different_frames(3))]
    async with DecodePool(views=SPEC) as pool:
        for data in files:
            image = await pool.decode(data, pixels=pixels)
            assert image == canonicalise(data, wanted=Wanted(pixels=pixels, views=SPEC))
            assert isinstance(image, Canonical)
            assert image.view_sizes == view_sizes(image.height, image.width, SPEC)
            assert all(bool(frame.rgb) is pixels for frame in image.frames)


async def test_an_answer_waits_for_room(pool: DecodePool) -> None:
    """The pod is told how much memory an answer takes, and reads it once there is room, however long."""
    asked: asyncio.Queue[int] = asyncio.Queue()
    room = asyncio.Event()

    async def wait(size: int) -> None:
        asked.put_nowait(size)
        await room.wait()

    decoding = asyncio.create_task(pool.decode(plain("PNG"), room=wait))
    size = await asked.get()
    assert not decoding.done()
    room.set()
    image = await decoding
    assert isinstance(image, Canonical)
    assert size == len(image.file) + len(image.blurred) + len(image.frames[0].rgb)


async def test_images_are_decoded_side_by_side() -> None:
    """A pool of two workers answers many callers, each with their own image."""
    async with DecodePool(workers=2) as pool:
        sizes = [(10 + index, 20) for index in range(20)]
        outcomes = await asyncio.gather(*(pool.decode(plain("PNG", size)) for size in sizes))
    assert [(image.width, image.height) for image in outcomes if isinstance(image, Canonical)] == sizes


async def test_a_worker_killed_midway_is_replaced(pool: DecodePool) -> None:
    """The image that it had is unreadable; the spare takes the next one, and a new worker starts."""
    before = pool.pids
    send(pool, signal.SIGSTOP)
    decoding = asyncio.create_task(pool.decode(plain("PNG")))
    victim = (await in_hand(pool)).pid
    os.kill(victim, signal.SIGKILL)
    assert await decoding == Fault(FaultCode.UNREADABLE, "the decoder crashed (Killed)")
    (spare,) = before - {victim}
    os.kill(spare, signal.SIGCONT)
    assert isinstance(await pool.decode(plain("PNG")), Canonical)
    await settled(pool)
    assert len(pool.pids) == 2
    assert pool.pids & before == {spare}


async def test_workers_killed_while_idle_cost_nothing(pool: DecodePool) -> None:
    """Images that come after all workers died are decoded by their replacements."""
    gone = pool.pids
    send(pool, signal.SIGKILL)
    await asyncio.gather(*(worker._process.wait() for worker in pool._workers))
    assert isinstance(await pool.decode(plain("PNG")), Canonical)
    assert isinstance(await pool.decode(plain("PNG")), Canonical)
    await settled(pool)
    assert not pool.pids & gone


async def test_processor_time_is_limited() -> None:
    """An image that takes longer than allowed is too large; the worker that was ended is replaced.

    The kernel counts whole seconds, so that "none" is up to one: some image goes beyond it.
    """
    async with DecodePool(limits=Limits(cpu_seconds=0)) as pool:
        big = save(Image.new("RGBA", (7000, 7000), (1, 2, 3, 4)), "PNG", compress_level=1)
        outcomes = []
        while not outcomes or (isinstance(outcomes[-1], Canonical) and len(outcomes) < 100):
            outcomes.append(await pool.decode(big))
        assert outcomes[-1] == Fault(FaultCode.TOO_LARGE, "decoding took more than 0 s of processor time")
        assert isinstance(await pool.decode(plain("PNG")), Canonical)


async def test_wall_clock_time_is_limited() -> None:
    """A worker that stalls is given up and replaced."""
    async with DecodePool(limits=Limits(wall_seconds=0.5)) as pool:
        before = pool.pids
        send(pool, signal.SIGSTOP)
        outcome = await pool.decode(plain("PNG"))
        assert outcome == Fault(FaultCode.TOO_LARGE, "decoding took longer than 0.5 s")
        await settled(pool)
        assert len(pool.pids & before) == 1
        assert len(pool.pids) == 2


async def test_memory_is_limited() -> None:
    """An image that needs more memory than allowed is too large, and the same worker goes on."""
    async with DecodePool(limits=Limits(memory_bytes=200 << 20)) as pool:
        before = pool.pids
        outcome = await pool.decode(save(Image.new("RGB", (7000, 7000), "red"), "PNG", compress_level=1))
        assert isinstance(outcome, Fault)
        assert outcome.code is FaultCode.TOO_LARGE
        assert isinstance(await pool.decode(plain("PNG")), Canonical)
        assert pool.pids == before


async def test_workers_are_retired() -> None:
    """After its share of images a worker makes way for a fresh one."""
    async with DecodePool(images_per_worker=1) as pool:
        before = pool.pids
        for _ in range(2):
            assert isinstance(await pool.decode(plain("PNG")), Canonical)
        await settled(pool)
        assert len(pool.pids) == 2
        assert not pool.pids & before


async def test_a_caller_that_gives_up_costs_no_process(pool: DecodePool) -> None:
    """A cancelled call leaves the same workers, ready for the next."""
    before = pool.pids
    send(pool, signal.SIGSTOP)
    call = asyncio.create_task(pool.decode(plain("PNG")))
    await in_hand(pool)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    send(pool, signal.SIGCONT)
    await settled(pool)
    assert isinstance(await pool.decode(plain("PNG")), Canonical)
    assert pool.pids == before


async def test_images_of_a_caller_that_gives_up_are_not_begun(pool: DecodePool) -> None:
    """Those still waiting for a worker never reach one."""
    send(pool, signal.SIGSTOP)
    first = asyncio.create_task(pool.decode(plain("PNG")))
    busy = await in_hand(pool)
    waiting = asyncio.gather(*(pool.decode(plain("PNG")) for _ in range(3)))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    send(pool, signal.SIGCONT)
    assert isinstance(await first, Canonical)
    await settled(pool)
    assert sum(worker.images for worker in pool._workers) == busy.images == 1


async def test_no_process_stays_behind() -> None:
    """Closing the pool ends its workers."""
    async with DecodePool(workers=2) as pool:
        pids = pool.pids
    assert len(pids) == 3
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


async def test_a_worker_is_confined() -> None:
    """Limits hold; with the rights to see and do more: no environment, three descriptors, no network."""
    worker = await DecodeWorker.start(Limits())
    try:
        proc = Path(f"/proc/{worker.pid}")
        limits = (proc / "limits").read_text()
        assert "Max address space         1073741824" in limits
        assert "Max open files            16" in limits
        assert "Max file size             0" in limits
        if os.geteuid() == 0:
            assert (proc / "environ").read_bytes() == b""
            assert len(list((proc / "fd").iterdir())) == 3
            assert worker.confinement[0] == "no network"
            devices = (proc / "net/dev").read_text().splitlines()[2:]
            assert [line.split(":")[0].strip() for line in devices] == ["lo"]
    finally:
        await worker.close()


def answer(**changes: object) -> bytes:
    """Return the header of an image of 64 × 64 with one view of it, with changes."""
    header = {
        "media_type": "image/png", "width": 64, "height": 64, "file_size": 100, "blurred_size": 8,
        "frames": [0], "notes": [], "views": [[64, 64]], "pixels": False, **changes,
    }  # fmt: skip
    return json.dumps(header).encode()


LIES = {
    "no header": b"{}",
    "another size of view": answer(views=[[32, 64]]),
    "no view": answer(views=[]),
    "one view too many": answer(views=[[64, 64], [96, 96]]),
    "views of another image": answer(width=128),
    "a strip": answer(width=4000, height=1),
    "pixels that nobody asked for": answer(pixels=True),
    "a file that is none": answer() + bytes(100),
    "a blurred rendition that is none": answer() + b"\x89PNG\r\n\x1a\n".ljust(100) + bytes(8),
    "no blurred rendition": answer(blurred_size=0),
    "a blurred rendition that is no small file": answer(blurred_size=100_000),
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES.keys())
async def test_a_worker_that_lies_is_not_believed(lie: bytes) -> None:
    """A worker whose answer breaks the protocol is given up, and its image counts as unreadable."""
    here, there = socket.socketpair()
    idle = await asyncio.create_subprocess_exec("sleep", "60")
    worker = DecodeWorker(idle, here, Limits(), ViewSpec(32, PixelRange(32 * 32, 64 * 64)))
    header = lie[: lie.index(b"}") + 1]
    there.sendall(len(header).to_bytes(4, "big") + lie)
    with pytest.raises(WorkerLostError) as lost:
        await worker.canonicalise(plain("PNG"), pixels=False)
    there.close()
    await worker.close()
    assert lost.value.fault.code is FaultCode.UNREADABLE
    assert "broke its protocol" in lost.value.fault.detail


async def test_a_worker_that_stops_midway_is_given_up() -> None:
    """An answer shorter than announced ends with the time allowed, not with a call that hangs."""
    here, there = socket.socketpair()
    idle = await asyncio.create_subprocess_exec("sleep", "60")
    worker = DecodeWorker(idle, here, Limits(wall_seconds=0.2), ViewSpec(32, PixelRange(32 * 32, 64 * 64)))
    there.sendall(len(answer()).to_bytes(4, "big") + answer() + b"\x89PNG")
    with pytest.raises(WorkerLostError) as lost:
        await worker.canonicalise(plain("PNG"), pixels=False)
    await worker.close()
    there.close()
    assert lost.value.fault == Fault(FaultCode.TOO_LARGE, "decoding took longer than 0.2 s")


def test_a_worker_loads_little() -> None:
    """What handles hostile files has Pillow in it, and neither numpy nor anything of model and wire."""
    code = "import sys, ostiary_moderation.decode.worker; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "PIL" in loaded.split()
    assert not {"numpy", "torch", "pydantic", "grpc", "google.protobuf"} & set(loaded.split())


def test_a_pool_without_workers_is_refused() -> None:
    """A pool needs at least one worker."""
    with pytest.raises(ValueError, match="at least one"):
        DecodePool(workers=0)
