"""The engine: one dedicated thread owns the model; requests wait for it without holding up the event loop."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from ostiary_moderation.bundle import Bundle, Manifest
from ostiary_moderation.engine import (
    AttributeValue,
    EngineLoad,
    Look,
    LookExpiredError,
    LookFailedError,
    LookRequest,
    QuestionScore,
)
from ostiary_moderation.engines.qwen3_vl.loading import load_model, load_processor
from ostiary_moderation.engines.qwen3_vl.processor import ImageOnlyProcessor
from ostiary_moderation.engines.qwen3_vl.questions import QuestionBook
from ostiary_moderation.engines.qwen3_vl.runner import Runner
from ostiary_moderation.views import ViewSpec


class LookCancelledError(Exception):
    """The caller went away, or the engine closed, before the look was finished."""


class Qwen3VLEngine:
    """An Engine over a Qwen3-VL checkpoint of any size."""

    def __init__(
        self,
        manifest: Manifest,
        view_spec: ViewSpec,
        processor: ImageOnlyProcessor,
        runner: Runner,
        threads: int,
    ) -> None:
        self._manifest = manifest
        self._view_spec = view_spec
        self._processor = processor
        self._runner = runner
        self._book = QuestionBook(manifest, processor)
        self._stop = runner.stop_tokens
        self._closed = threading.Event()
        self._thread = ThreadPoolExecutor(1, "engine", initializer=_use_threads, initargs=(threads,))

    @property
    def view_spec(self) -> ViewSpec:
        """The views that `look` takes."""
        return self._view_spec

    def load(self) -> EngineLoad:
        """One look at a time; the others wait in the thread's own queue."""
        return EngineLoad(0, 0, 0)

    async def look(self, request: LookRequest) -> Look:
        """Looks at the images, in the order in which requests came. See `Engine.look`."""
        _validate(request, self._view_spec)
        if self._closed.is_set():
            raise LookFailedError("the engine is closed")
        gone = threading.Event()
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._look, request, gone)
        except LookCancelledError as error:
            raise LookFailedError("the engine closed while it was looking") from error
        finally:
            gone.set()

    async def close(self) -> None:
        """Stops the work in hand between two forward passes and ends the thread. Idempotent."""
        self._closed.set()
        await asyncio.to_thread(self._thread.shutdown, wait=True)

    def _look(self, request: LookRequest, gone: threading.Event) -> Look:
        def checkpoint() -> None:
            if request.deadline is not None and time.monotonic() > request.deadline:
                raise LookExpiredError("the deadline passed")
            if gone.is_set() or self._closed.is_set():
                raise LookCancelledError

        language = self._language(request)
        frame = self._book.frame(request.listing)
        timings = dict.fromkeys(("wait", "look", "closer", "describe"), 0.0)
        scores: list[QuestionScore] = []
        attributes: list[AttributeValue] = []
        description: str | None = None
        for index, image in enumerate(request.images if request.flags else request.images[:1]):
            checkpoint()
            with _timed(timings, "look"):
                prefilled = self._runner.prefill(self._processor.prefix(image.first, frame))
            with _timed(timings, "look"):
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
    processor, runner = load_processor(bundle), Runner(load_model(bundle))
    return Qwen3VLEngine(bundle.manifest, bundle.view_spec, processor, runner, threads)


def _validate(request: LookRequest, spec: ViewSpec) -> None:
    if not request.images:
        raise ValueError("no image to look at")
    for index, views in enumerate(request.images):
        for view in (views.first, views.closer):
            if view is None:
                continue
            if view.ndim != 3 or view.shape[2] != 3 or view.dtype.name != "uint8" or 0 in view.shape:
                raise ValueError(f"image {index}: {view.shape} {view.dtype}; give H × W × 3 of uint8")
            if view.shape[0] % spec.cell or view.shape[1] % spec.cell:
                raise ValueError(f"image {index}: {view.shape}; make views with the engine's view_spec")


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
