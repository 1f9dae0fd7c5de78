"""BentoML with adaptive batching, as its documentation shows it: a batchable API that takes a list.

Served by `bentoml serve bentoml_server:Checker`; the task file's path is in OSTIARY_BENCH_TASK.
"""

import os
from typing import Any

import bentoml
from PIL.Image import Image
from stock import StockModel, Task

TASK = Task.read(os.environ["OSTIARY_BENCH_TASK"])


@bentoml.service(workers=1, traffic={"timeout": 120, "max_concurrency": 512})
class Checker:
    """Answers checks whose images come as multipart uploads."""

    def __init__(self) -> None:
        self.model = StockModel(TASK)

    @bentoml.api(batchable=True, max_batch_size=TASK.max_batch, max_latency_ms=60_000)
    def describe(self, images: list[Image]) -> list[dict[str, Any]]:
        """Answer a batch, with descriptions."""
        return self.model.together([image.convert("RGB") for image in images], description=True)

    @bentoml.api(batchable=True, max_batch_size=TASK.max_batch, max_latency_ms=60_000)
    def flags(self, images: list[Image]) -> list[dict[str, Any]]:
        """Answer a batch, policy questions only."""
        return self.model.together([image.convert("RGB") for image in images], description=False)
