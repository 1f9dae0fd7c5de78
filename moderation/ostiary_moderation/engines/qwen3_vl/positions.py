"""M-RoPE positions of a prompt with one image, computed from its grid alone. Pure.

The model would otherwise take them from `rope_deltas`, module state that another request may have changed.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def image_prompt_positions(before: int, rows: int, columns: int, after: int) -> NDArray[np.int64]:
    """Positions (3, before + rows*columns + after): time, height, width.

    `before` and `after` count text tokens on either side of the image; `rows` and `columns` count merged
    patches. Text advances all three together; the image occupies max(rows, columns) steps.
    """
    head = np.tile(np.arange(before, dtype=np.int64), (3, 1))
    height, width = np.divmod(np.arange(rows * columns, dtype=np.int64), columns)
    image = np.stack([np.zeros_like(height), height, width]) + before
    tail = np.tile(np.arange(after, dtype=np.int64), (3, 1)) + before + max(rows, columns)
    return np.concatenate([head, image, tail], axis=1)


def text_positions(start: int, length: int) -> NDArray[np.int64]:
    """Positions (3, length) of text that continues at `start`."""
    return np.tile(np.arange(start, start + length, dtype=np.int64), (3, 1))
