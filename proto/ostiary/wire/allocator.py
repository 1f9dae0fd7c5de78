"""What the C library keeps of the memory that a service lets go of.

Image bytes make a service's memory go up and down by hundreds of megabytes. Left to itself glibc raises, with
every large block that is freed, the size from which it asks the system for a block of its own, up to 32 MiB,
and each thread gets a heap; so what a rare large image took is kept for good, and more of it the longer a
service runs.
"""

import asyncio
import ctypes
from collections.abc import Mapping

_SECONDS = 5.0
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8
# Threads hold Python's lock while they allocate most of what they do.
_FEW_HEAPS = {_M_ARENA_MAX: 2}
_LARGE_BLOCKS = {
    # From here on pages of their own, which go straight back. At 1 MiB their faults make OCR a tenth slower,
    # and a gateway's checks of 2 MB a quarter.
    _M_MMAP_THRESHOLD: 8 << 20,
    # Free memory at the end of a heap that is kept: enough for the blocks of one forward pass.
    _M_TRIM_THRESHOLD: 32 << 20,
}


def share_heaps() -> bool:
    """Have the threads of this process share two heaps. False where the C library is not glibc.

    Before it has threads: one that has a heap keeps it.
    """
    return _set(_FEW_HEAPS)


def return_large_blocks() -> bool:
    """Have this process give back large blocks as it frees them. False where the C library is not glibc."""
    return _set(_LARGE_BLOCKS)


async def return_free_pages(every: float = _SECONDS) -> None:
    """Give back, every so many seconds until cancelled, the free pages between blocks that are still in use.

    Takes 4 ms where there are 80 MB to give back, 0.1 ms where there are none. Returns at once where the C
    library is not glibc.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    while trim is not None:
        await asyncio.to_thread(trim, 0)
        await asyncio.sleep(every)


def _set(options: Mapping[int, int]) -> bool:
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and all(mallopt(name, value) for name, value in options.items())
