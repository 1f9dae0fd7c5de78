"""Work that takes the processor: at once where it is short, on a thread where the event loop must go on."""

import asyncio
import hashlib
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

# Hashing so many bytes takes a fraction of a millisecond, about as long as going to a thread and back.
_FEW_BYTES = 256 * 1024


async def offload(short: bool, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What `work` returns.

    `short`: it takes less than the interpreter lets one thread run before it asks another in (5 ms). The
    event loop would wait for as long with the work on a thread, and for the way there and back besides.
    """
    return work(*args, **kwargs) if short else await asyncio.to_thread(work, *args, **kwargs)


def quick_to_hash(size: int) -> bool:
    """Whether hashing so many bytes is short work."""
    return size <= _FEW_BYTES


async def sha256(data: bytes) -> bytes:
    """The digest of `data`."""
    return await offload(quick_to_hash(len(data)), lambda: hashlib.sha256(data).digest())
