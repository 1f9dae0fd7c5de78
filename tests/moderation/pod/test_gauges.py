"""What the pod reads of the machine."""

import numpy as np

from ostiary_moderation.gauges import memory_limit, resident_bytes


def test_resident_memory_grows_with_use() -> None:
    """Touching 64 MiB shows in the resident set, which stays within what there is."""
    before = resident_bytes()
    block = np.ones(64 << 20, np.uint8)
    after = resident_bytes()
    assert block.nbytes // 2 < after - before < 8 * block.nbytes
    assert after < memory_limit()
