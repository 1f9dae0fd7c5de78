"""The pod's side of one decoding worker."""

import asyncio
import contextlib
import hashlib
import json
import signal
import socket
import sys
from asyncio.subprocess import Process
from dataclasses import asdict

from ostiary_moderation.decode.limits import Limits
from ostiary_moderation.decode.protocol import (
    LENGTH,
    MAX_HEADER,
    MEDIA_TYPES,
    CanonicalHeader,
    ProtocolError,
    parse_header,
    parse_hello,
)
from ostiary_moderation.decode.result import Canonical, Fault, FaultCode, Frame

_END_SECONDS = 1.0
_START_SECONDS = 30.0
# A canonical file is a JPEG or PNG of at most 4096 × 4096; noise at full quality stays below this.
_MAX_CANONICAL_FILE = 64 << 20


class WorkerLostError(Exception):
    """The worker ended, stalled or broke the protocol; `fault` is what that says about the image it had."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.detail)
        self.fault = fault


class DecodeWorker:
    """One worker process, spawned (never forked) with an empty environment; one image at a time."""

    def __init__(self, process: Process, channel: socket.socket, limits: Limits) -> None:
        self._process = process
        self._channel = channel
        self._limits = limits
        self.images = 0
        self.confinement: tuple[str, ...] = ()

    @classmethod
    async def start(cls, limits: Limits) -> "DecodeWorker":
        """Return a worker that has confined itself and waits for images.

        Raises OSError, TimeoutError or ProtocolError where it does not come up.
        """
        here, there = socket.socketpair()
        here.setblocking(False)
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-I", "-m", "ostiary_moderation.decode.worker", json.dumps(asdict(limits)),
                stdin=there.fileno(), stdout=asyncio.subprocess.DEVNULL, env={}, cwd="/",
            )  # fmt: skip
        except BaseException:
            here.close()
            raise
        finally:
            there.close()
        worker = cls(process, here, limits)
        try:
            async with asyncio.timeout(_START_SECONDS):
                worker.confinement = parse_hello(await worker._read_header())
        except BaseException:
            await worker.close()
            raise
        return worker

    @property
    def alive(self) -> bool:
        """Whether the process still runs, as far as is known."""
        return self._process.returncode is None

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    async def canonicalise(self, data: bytes) -> Canonical | Fault:
        """Have one file decoded. Raises WorkerLostError after which the worker is of no more use."""
        self.images += 1
        try:
            async with asyncio.timeout(self._limits.wall_seconds):
                return await self._exchange(data)
        except TimeoutError as error:
            detail = f"decoding took longer than {self._limits.wall_seconds:g} s"
            raise WorkerLostError(Fault(FaultCode.TOO_LARGE, detail)) from error
        except (OSError, EOFError, ProtocolError) as error:
            raise WorkerLostError(await self._post_mortem(error)) from error

    async def close(self) -> None:
        """End the process and wait until it is gone."""
        self._channel.close()
        if self.alive:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
        await self._process.wait()

    async def _exchange(self, data: bytes) -> Canonical | Fault:
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(self._channel, LENGTH.pack(len(data)))
        await loop.sock_sendall(self._channel, data)
        text = await self._read_header()
        header = parse_header(text, self._limits.max_side, _MAX_CANONICAL_FILE)
        if isinstance(header, Fault):
            return header
        file = bytes(await self._read(header.file_size))
        if not file.startswith(MEDIA_TYPES[header.media_type]):
            raise ProtocolError(f"the canonical file is no {header.media_type}")
        frames = [Frame(index, await self._read(header.frame_size)) for index in header.frames]
        # The hashes are computed on this side: a worker's word is not evidence.
        raw, canonical = await asyncio.to_thread(_digests, data, file)
        return _assemble(header, raw, canonical, file, frames)

    async def _read_header(self) -> bytes:
        (size,) = LENGTH.unpack(await self._read(LENGTH.size))
        if size > MAX_HEADER:
            raise ProtocolError(f"a header of {size} bytes")
        return bytes(await self._read(size))

    async def _read(self, size: int) -> memoryview:
        loop = asyncio.get_running_loop()
        buffer = bytearray(size)
        view = memoryview(buffer)
        while view:
            received = await loop.sock_recv_into(self._channel, view)
            if not received:
                raise EOFError("the worker closed its end")
            view = view[received:]
        return memoryview(buffer).toreadonly()

    async def _post_mortem(self, error: Exception) -> Fault:
        """Say what the worker's end means for the image that it had."""
        if isinstance(error, ProtocolError):
            return Fault(FaultCode.UNREADABLE, f"the decoder broke its protocol: {error}")
        # A signal to a process that has just ended would take its exit status from the one that waits for it.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_END_SECONDS):
                await self._process.wait()
        await self.close()
        status = self._process.returncode
        if status == -signal.SIGXCPU:
            detail = f"decoding took more than {self._limits.cpu_seconds} s of processor time"
            return Fault(FaultCode.TOO_LARGE, detail)
        return Fault(FaultCode.UNREADABLE, f"the decoder crashed ({_ending(status)})")


def _assemble(
    header: CanonicalHeader, raw: bytes, canonical: bytes, file: bytes, frames: list[Frame]
) -> Canonical:
    return Canonical(
        raw_sha256=raw,
        sha256=canonical,
        media_type=header.media_type,
        width=header.width,
        height=header.height,
        file=file,
        frames=tuple(frames),
        notes=header.notes,
    )


def _digests(raw: bytes, file: bytes) -> tuple[bytes, bytes]:
    return hashlib.sha256(raw).digest(), hashlib.sha256(file).digest()


def _ending(status: int | None) -> str:
    if status is None or status >= 0:
        return f"exit status {status}"
    return signal.strsignal(-status) or f"signal {-status}"
