"""The engine: one dedicated thread owns the model; requests wait for it without holding up the event loop."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from ostiary_moderation.bundle import Bundle, Manifest
from ostiary_moderation.engine import AttributeValue, Look, LookRequest, QuestionScore
from ostiary_moderation.engines.qwen3_vl.loading import load_model, load_processor
from ostiary_moderation.engines.qwen3_vl.processor import ImageOnlyProcessor
from ostiary_moderation.engines.qwen3_vl.questions import QuestionBook
from ostiary_moderation.engines.qwen3_vl.runner import Runner


class LookCancelledError(Exception):
    """The caller went away, or the engine closed, before the look was finished."""


class Qwen3VLEngine:
    """An Engine over a Qwen3-VL checkpoint of any size."""

    def __init__(
        self, manifest: Manifest, processor: ImageOnlyProcessor, runner: Runner, threads: int
    ) -> None:
        self._manifest = manifest
        self._processor = processor
        self._runner = runner
        self._book = QuestionBook(manifest, processor)
        self._stop = runner.stop_tokens
        self._closed = threading.Event()
        self._thread = ThreadPoolExecutor(1, "engine", initializer=_use_threads, initargs=(threads,))

    async def look(self, request: LookRequest) -> Look:
        """Looks at the images, in the order in which requests came. See `Engine.look`."""
        _validate(request)
        if self._closed.is_set():
            raise RuntimeError("the engine is closed")
        gone = threading.Event()
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._look, request, gone)
        except LookCancelledError as error:
            raise RuntimeError("the engine closed while it was looking") from error
        finally:
            gone.set()

    async def close(self) -> None:
        """Stops the work in hand between two forward passes and ends the thread. Idempotent."""
        self._closed.set()
        await asyncio.to_thread(self._thread.shutdown, wait=True)

    def _look(self, request: LookRequest, gone: threading.Event) -> Look:
        def checkpoint() -> None:
            if gone.is_set() or self._closed.is_set():
                raise LookCancelledError

        language = self._language(request)
        frame = self._book.frame(request.listing)
        timings = dict.fromkeys(("prefill", "score", "describe"), 0.0)
        scores: list[QuestionScore] = []
        attributes: list[AttributeValue] = []
        description: str | None = None
        for index, image in enumerate(request.images if request.flags else request.images[:1]):
            checkpoint()
            with _timed(timings, "prefill"):
                prefilled = self._runner.prefill(self._processor.prefix(image, frame))
            with _timed(timings, "score"):
                if request.flags:
                    branches = self._book.policy_branches(request.listing, frame)
                    scores += self._book.scores(self._runner.score(prefilled, branches, checkpoint), index)
                if request.attributes and index == 0:
                    branches = self._book.attribute_branches(request.listing, frame)
                    attributes = self._book.attributes(self._runner.score(prefilled, branches, checkpoint))
            if request.description and index == 0 and self._manifest.description:
                with _timed(timings, "describe"):
                    tokens = self._book.describe_tokens(language, frame)
                    limit = self._manifest.description.max_new_tokens
                    written = self._runner.decode(prefilled, tokens, limit, self._stop, checkpoint)
                    description = self._processor.decode(written)
        return Look(tuple(scores), tuple(attributes), description, language, timings)

    def _language(self, request: LookRequest) -> str:
        """The language to describe in: the one asked for where the bundle has it, else the bundle's first."""
        spoken = self._manifest.description.languages if self._manifest.description else ("en",)
        asked = request.listing.language
        return next((language for language in (asked, asked.split("-")[0]) if language in spoken), spoken[0])


def open_engine(bundle: Bundle, threads: int) -> Qwen3VLEngine:
    """Loads a bundle. `threads`: CPU threads for arithmetic, at least 1. Raises BundleError."""
    return Qwen3VLEngine(bundle.manifest, load_processor(bundle), Runner(load_model(bundle)), threads)


def _validate(request: LookRequest) -> None:
    if not request.images:
        raise ValueError("no image to look at")
    for index, image in enumerate(request.images):
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype.name != "uint8" or 0 in image.shape:
            raise ValueError(f"image {index}: {image.shape} {image.dtype}; give H × W × 3 of uint8")


def _use_threads(threads: int) -> None:
    """Runs in the engine's thread: torch counts threads per calling thread."""
    import torch

    torch.set_num_threads(threads)


@contextmanager
def _timed(timings: dict[str, float], stage: str) -> Iterator[None]:
    start = time.perf_counter()
    try:
        yield
    finally:
        timings[stage] += time.perf_counter() - start
