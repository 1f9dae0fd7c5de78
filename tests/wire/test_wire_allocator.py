"""What a pod lets go of goes back to the system."""

import platform
import subprocess
import sys

import pytest

# Having freed one block of 30 MiB, glibc puts those of 20 MiB on its heap, where the small ones between them
# keep all of it.
_SCRIPT = """
import sys
import numpy as np
from ostiary.wire.allocator import return_large_blocks
from ostiary_moderation.gauges import resident_bytes

if sys.argv[1] == "told":
    assert return_large_blocks()
np.ones(30 << 20, np.uint8)
before = resident_bytes()
blocks = [(np.ones(20 << 20, np.uint8), np.ones(100_000, np.uint8)) for _ in range(10)]
blocks = [small for _, small in blocks]
print(resident_bytes() - before)
"""


_HOLES = """
import asyncio
import numpy as np
from ostiary.wire.allocator import return_free_pages
from ostiary_moderation.gauges import resident_bytes

blocks = [np.ones(100_000, np.uint8) for _ in range(2000)]
blocks = blocks[::20]
before = resident_bytes()

async def main():
    returning = asyncio.create_task(return_free_pages(every=3600))
    while resident_bytes() > before - (100 << 20):
        await asyncio.sleep(0.01)
    returning.cancel()

asyncio.run(asyncio.wait_for(main(), 30))
"""
_THREADS = """
import ctypes
import sys
import threading
from ostiary.wire.allocator import share_heaps

if sys.argv[1] == "told":
    assert share_heaps()
there = threading.Barrier(8)

def allocate():
    block = bytearray(100_000)
    there.wait()

threads = [threading.Thread(target=allocate) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
libc = ctypes.CDLL(None)
libc.malloc_info(0, ctypes.c_void_p.in_dll(libc, "stdout"))
libc.fflush(None)
"""
glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library: nothing to tell it")


@glibc
@pytest.mark.parametrize(("told", "least", "most"), [("told", 0, 8 << 20), ("left", 100 << 20, 1 << 30)])
def test_large_blocks_go_back(told: str, least: int, most: int) -> None:
    """A process that is told so holds nothing of 200 MiB that it has freed; one left to itself does."""
    command = [sys.executable, "-c", _SCRIPT, told]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert least <= int(result.stdout) <= most


@glibc
def test_free_pages_go_back() -> None:
    """Of 200 MB in small blocks, all freed but every twentieth, most goes back although the rest stays."""
    subprocess.run([sys.executable, "-c", _HOLES], check=True, timeout=60)


@glibc
@pytest.mark.parametrize(("told", "least", "most"), [("told", 1, 2), ("left", 8, 9)])
def test_threads_share_heaps(told: str, least: int, most: int) -> None:
    """Eight threads of a process that is told so share two heaps; left to itself, each has its own."""
    command = [sys.executable, "-c", _THREADS, told]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert least <= result.stdout.count("<heap nr=") <= most
