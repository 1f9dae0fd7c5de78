"""The pod's side of one decoding worker.

Megabytes go through the socket in a thread of the worker's own, without the interpreter's lock: on the event
loop a photograph of 12 megapixels would hold up every other call for some 30 ms.
"""

import asyncio
import contextlib
import hashlib
import json
import mmap
import signal
import socket
import sys
import time
from asyncio.subprocess import Process
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import TypeVar

from ostiary_moderation.decode.limits import Limits
from ostiary_moderation.decode.protocol import (
    LENGTH,
    MAX_HEADER,
    MEDIA_TYPES,
    REQUEST,
    CanonicalHeader,
    ProtocolError,
    parse_header,
    parse_hello,
)
from ostiary_moderation.decode.result import Canonical, Fault, FaultCode, Frame
from ostiary_moderation.views import ViewSpec, view_sizes

# Waits until there is room in memory for so many bytes.
Room = Callable[[int], Awaitable[None]]

_T = TypeVar("_T")
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

    def __init__(
        self, process: Process, channel: socket.socket, limits: Limits, views: ViewSpec | None = None
    ) -> None:
        self._process = process
        self._channel = channel
        self._limits = limits
        self._views = views
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"decoder-{process.pid}")
        self.images = 0
        self.confinement: tuple[str, ...] = ()

    @classmethod
    async def start(cls, limits: Limits, views: ViewSpec | None = None) -> "DecodeWorker":
        """Return a worker that has confined itself and waits for images, of which it makes `views`.

        Raises OSError, TimeoutError or ProtocolError where it does not come up.
        """
        here, there = socket.socketpair()
        arguments = [json.dumps(asdict(limits)), json.dumps(views and asdict(views))]
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-I", "-m", "ostiary_moderation.decode.worker", *arguments,
                stdin=there.fileno(), stdout=asyncio.subprocess.DEVNULL, env={}, cwd="/",
            )  # fmt: skip
        except BaseException:
            here.close()
            raise
        finally:
            there.close()
        worker = cls(process, here, limits, views)
        try:
            async with asyncio.timeout(_START_SECONDS):
                worker.confinement = parse_hello(await worker._in_thread(worker._read_text))
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

    async def canonicalise(
        self, data: bytes, *, pixels: bool = True, room: Room | None = None
    ) -> Canonical | Fault:
        """Have one file decoded. `room` is asked before the answer's bytes are read into memory.

        The wait for room is not counted as the image's time. Raises WorkerLostError after which the worker is
        of no more use.
        """
        self.images += 1
        started, left = time.monotonic(), self._limits.wall_seconds
        try:
            async with asyncio.timeout(left):
                header = await self._in_thread(self._ask, data, pixels)
            if isinstance(header, Fault):
                return header
            left -= time.monotonic() - started
            if room is not None:
                await room(header.body_bytes)
            async with asyncio.timeout(left):
                return await self._in_thread(self._receive, header, data)
        except TimeoutError as error:
            detail = f"decoding took longer than {self._limits.wall_seconds:g} s"
            raise WorkerLostError(Fault(FaultCode.TOO_LARGE, detail)) from error
        except (OSError, EOFError, ProtocolError) as error:
            raise WorkerLostError(await self._post_mortem(error)) from error

    async def close(self) -> None:
        """End the process and wait until it is gone."""
        with contextlib.suppress(OSError):
            # Wakes the thread where it waits for the worker; a closed descriptor would not.
            self._channel.shutdown(socket.SHUT_RDWR)
        if self.alive:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
        await self._process.wait()
        await asyncio.to_thread(self._thread.shutdown)
        self._channel.close()

    async def _in_thread(self, work: Callable[..., _T], *arguments: object) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)

    def _ask(self, data: bytes, pixels: bool) -> CanonicalHeader | Fault:
        """Send a file; return what the worker announces of it."""
        self._channel.sendall(REQUEST.pack(len(data), pixels))
        self._channel.sendall(data)
        header = parse_header(self._read_text(), self._limits.max_side, _MAX_CANONICAL_FILE)
        if isinstance(header, CanonicalHeader):
            self._check(header, pixels)
        return header

    def _check(self, header: CanonicalHeader, pixels: bool) -> None:
        """Hold an announcement to what was asked for: a worker does not choose what the model is shown."""
        try:
            sizes = view_sizes(header.height, header.width, self._views) if self._views else ()
        except ValueError as error:
            raise ProtocolError(f"the canonical image: {error}") from error
        if header.views != sizes:
            raise ProtocolError(f"views of {header.views}; {sizes} were asked for")
        if header.pixels != pixels:
            raise ProtocolError("pixels where none were asked for" if header.pixels else "no pixels")

    def _receive(self, header: CanonicalHeader, data: bytes) -> Canonical:
        """Read what was announced."""
        file = bytes(self._read(header.file_size))
        if not file.startswith(MEDIA_TYPES[header.media_type]):
            raise ProtocolError(f"the canonical file is no {header.media_type}")
        blurred = bytes(self._read(header.blurred_size))
        if not blurred.startswith(MEDIA_TYPES["image/jpeg"]):
            raise ProtocolError("the blurred rendition is no image/jpeg")
        views = [tuple(self._read(size) for size in header.view_bytes) for _ in header.frames]
        pixels = [self._read(header.pixel_bytes) for _ in header.frames]
        return Canonical(
            # The hashes are computed on this side: a worker's word is not evidence.
            raw_sha256=hashlib.sha256(data).digest(),
            sha256=hashlib.sha256(file).digest(),
            media_type=header.media_type,
            width=header.width,
            height=header.height,
            file=file,
            blurred=blurred,
            frames=tuple(map(Frame, header.frames, pixels, views)),
            notes=header.notes,
            view_sizes=header.views,
        )

    def _read_text(self) -> bytes:
        (size,) = LENGTH.unpack(self._read(LENGTH.size))
        if size > MAX_HEADER:
            raise ProtocolError(f"a header of {size} bytes")
        return bytes(self._read(size))

    def _read(self, size: int) -> memoryview:
        """Read into pages of their own, which go back to the system as soon as nobody holds them."""
        if not size:
            return memoryview(b"")
        buffer = memoryview(mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
        received = 0
        while received < size:
            count = self._channel.recv_into(buffer[received:], flags=socket.MSG_WAITALL)
            if not count:
                raise EOFError("the worker closed its end")
            received += count
        return buffer.toreadonly()

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


def _ending(status: int | None) -> str:
    if status is None or status >= 0:
        return f"exit status {status}"
    return signal.strsignal(-status) or f"signal {-status}"
