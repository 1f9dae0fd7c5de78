"""Workers in processes of their own: confined, replaced, and never the end of a check."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from PIL import Image

from moderation.decode.pictures import noise, plain, png_header, save
from ostiary_moderation.decode.canonical import canonicalise
from ostiary_moderation.decode.limits import Limits
from ostiary_moderation.decode.pool import DecodePool
from ostiary_moderation.decode.process import DecodeWorker, WorkerLostError
from ostiary_moderation.decode.result import Canonical, Fault, FaultCode


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
    """An image that takes longer than allowed is too large; the worker that was ended is replaced."""
    async with DecodePool(limits=Limits(cpu_seconds=0)) as pool:
        big = save(Image.new("RGBA", (7000, 7000), (1, 2, 3, 4)), "PNG", compress_level=1)
        outcome = await pool.decode(big)
        assert outcome == Fault(FaultCode.TOO_LARGE, "decoding took more than 0 s of processor time")
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


async def test_a_worker_that_lies_is_not_believed() -> None:
    """A worker whose answer breaks the protocol is given up, and its image counts as unreadable."""
    here, there = socket.socketpair()
    here.setblocking(False)
    idle = await asyncio.create_subprocess_exec("sleep", "60")
    worker = DecodeWorker(idle, here, Limits())
    there.sendall(b"\x00\x00\x00\x02{}")
    with pytest.raises(WorkerLostError) as lost:
        await worker.canonicalise(plain("PNG"))
    there.close()
    await worker.close()
    assert lost.value.fault.code is FaultCode.UNREADABLE
    assert "broke its protocol" in lost.value.fault.detail


def test_a_pool_without_workers_is_refused() -> None:
    """A pool needs at least one worker."""
    with pytest.raises(ValueError, match="at least one"):
        DecodePool(workers=0)
