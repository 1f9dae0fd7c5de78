"""The decode step as CUDA graphs: launched as one, instead of some thousand kernels one after another.

Off CUDA the step is called as it is. Capturing could not be run where this was written, for want of a GPU:
the step that it captures is the one that every test runs, and it reads and writes fixed buffers only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

Step = Callable[[int, int, int], None]  # first row, rows, longest

_LENGTHS = 256  # graphs are captured for multiples of so many tokens


class StepGraphs:
    """Runs `step(first, count, longest)` for rows of a cache of `rows` × `max_length`.

    A graph is captured for row counts 1, 2, 4, 8 … `rows` and for a few lengths, the first time that each is
    needed. Rows beyond `count` compute into themselves: nobody reads them before they are filled anew.
    """

    def __init__(self, step: Step, device: torch.device, rows: int, max_length: int) -> None:
        self._step, self._rows, self._max_length = step, rows, max_length
        self._captures = device.type == "cuda"
        # Graphs are replayed one at a time and leave nothing behind in it: they can share their memory.
        self._pool = torch.cuda.graph_pool_handle() if self._captures else None
        self._graphs: dict[tuple[int, int], Any] = {}

    def run(self, first: int, count: int, longest: int, part: bool) -> None:
        """One step for rows `first … first + count - 1`, of which the longest then holds `longest` tokens.

        `part`: other rows are in use too and must stay as they are.
        """
        if not self._captures or part:
            self._step(first, count, longest)
            return
        key = self._rounded(count, longest)
        if key not in self._graphs:
            self._step(first, count, longest)  # capturing records and does not compute; kernels warm up
            self._graphs[key] = None
            return
        if self._graphs[key] is None:
            self._graphs[key] = self._capture(*key)
        self._graphs[key].replay()

    def _rounded(self, count: int, longest: int) -> tuple[int, int]:
        rows = min(1 << (count - 1).bit_length(), self._rows)
        return rows, min(-(-longest // _LENGTHS) * _LENGTHS, self._max_length)

    def _capture(self, rows: int, longest: int) -> Any:
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        # Other threads may use the GPU meanwhile.
        with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
            self._step(0, rows, longest)
        return graph
