"""What the C library keeps of the memory that a pod lets go of.

A pod's memory goes up and down by hundreds of megabytes: OCR alone takes some 300 for a large photograph, in
blocks of many sizes, on a thread of its own. Left to itself glibc raises, with every large block that is
freed, the size from which it asks the system for a block of its own, up to 32 MiB, and each thread gets a
heap; so what a rare large image took is kept for good, and more of it the longer the pod serves.
"""

import ctypes

_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8
_SETTINGS = {
    # From here on pages of their own, which go straight back. At 1 MiB their faults make OCR a tenth slower.
    _M_MMAP_THRESHOLD: 8 << 20,
    # Free memory at the end of a heap that is kept: enough for the blocks of one forward pass.
    _M_TRIM_THRESHOLD: 32 << 20,
    # Heaps. Threads hold Python's lock while they allocate most of what they do.
    _M_ARENA_MAX: 2,
}


def return_memory() -> bool:
    """Have this process give back what it frees. Whether the C library can: glibc does, others need not."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and all(mallopt(name, value) for name, value in _SETTINGS.items())
