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
from ostiary_moderation.allocator import return_memory
from ostiary_moderation.gauges import resident_bytes

if sys.argv[1] == "told":
    assert return_memory()
np.ones(30 << 20, np.uint8)
before = resident_bytes()
blocks = [(np.ones(20 << 20, np.uint8), np.ones(100_000, np.uint8)) for _ in range(10)]
blocks = [small for _, small in blocks]
print(resident_bytes() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library: nothing to tell it")
@pytest.mark.parametrize(("told", "least", "most"), [("told", 0, 8 << 20), ("left", 100 << 20, 1 << 30)])
def test_large_blocks_go_back(told: str, least: int, most: int) -> None:
    """A process that is told so holds nothing of 200 MiB that it has freed; one left to itself does."""
    command = [sys.executable, "-c", _SCRIPT, told]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert least <= int(result.stdout) <= most
