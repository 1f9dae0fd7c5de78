"""The engine as callers see it: asynchronous, with the model in a thread of its own behind a queue."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import suppress
from dataclasses import replace
from functools import partial
from queue import SimpleQueue

import torch

from ostiary_moderation.bundle import Bundle, Manifest
from ostiary_moderation.engine import EngineLoad, Look, LookFailedError, LookRequest
from ostiary_moderation.engines.qwen3_vl.answering import Answering
from ostiary_moderation.engines.qwen3_vl.loading import load_model, load_processor
from ostiary_moderation.engines.qwen3_vl.loop import EngineLoop, Inbox
from ostiary_moderation.engines.qwen3_vl.processor import ImageOnlyProcessor
from ostiary_moderation.engines.qwen3_vl.questions import QuestionBook
from ostiary_moderation.engines.qwen3_vl.request import LookWork
from ostiary_moderation.engines.qwen3_vl.runner import Runner, Sizes
from ostiary_moderation.engines.qwen3_vl.scheduler import Scheduler
from ostiary_moderation.views import ViewSpec


class Qwen3VLEngine:
    """An Engine over a Qwen3-VL checkpoint of any size. `threads`: CPU threads for arithmetic."""

    def __init__(
        self,
        manifest: Manifest,
        view_spec: ViewSpec,
        processor: ImageOnlyProcessor,
        runner: Runner,
        threads: int,
    ) -> None:
        self._view_spec = view_spec
        self._book = QuestionBook(manifest, processor)
        answering = Answering(manifest, self._book, view_spec.cell, runner.stop_tokens, processor.decode)
        batching = manifest.batching
        self._inbox: Inbox = SimpleQueue()
        self._loop = EngineLoop(
            self._inbox, Scheduler(batching.max_sequences, batching.prefill_tokens), runner, answering
        )
        self._door = threading.Lock()  # nothing may be put into the inbox after it was closed
        self._closed = False
        self._thread = threading.Thread(target=self._run, args=(threads,), name="engine", daemon=True)
        self._thread.start()

    @property
    def view_spec(self) -> ViewSpec:
        """The views that `look` takes."""
        return self._view_spec

    def load(self) -> EngineLoad:
        """What there is to do now. Any thread may ask."""
        load = self._loop.load()
        return replace(load, waiting=load.waiting + self._inbox.qsize())

    async def look(self, request: LookRequest) -> Look:
        """Looks at the images. See `Engine.look`."""
        _validate(request, self._view_spec)
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Look] = loop.create_future()
        language = self._book.language(request.listing.language)
        work = LookWork(request, language, time.monotonic(), partial(_tell, loop, answer))
        with self._door:
            if self._closed:
                raise LookFailedError("the engine is closed")
            self._inbox.put(work)
        try:
            return await answer
        finally:
            work.cancelled = True

    async def close(self) -> None:
        """Stops the work in hand between two forward passes and ends the thread. Idempotent."""
        with self._door:
            if not self._closed:
                self._closed = True
                self._inbox.put(None)
        await asyncio.to_thread(self._thread.join)

    def _run(self, threads: int) -> None:
        torch.set_num_threads(threads)  # torch counts them for each calling thread
        try:
            self._loop.run()
        finally:
            with self._door:
                self._closed = True
            self._loop.abandon()


def open_engine(bundle: Bundle, threads: int) -> Qwen3VLEngine:
    """Loads a bundle. `threads`: CPU threads for arithmetic, at least 1. Raises BundleError."""
    manifest, spec = bundle.manifest, bundle.view_spec
    processor = load_processor(bundle)
    memory = sizes(bundle, QuestionBook(manifest, processor))
    runner = Runner(load_model(bundle), *processor.statistics, memory)
    return Qwen3VLEngine(manifest, spec, processor, runner, threads)


def sizes(bundle: Bundle, book: QuestionBook) -> Sizes:
    """What a runner sets memory aside for."""
    settings, spec = bundle.manifest.description, bundle.view_spec
    pixels = (spec.closer or spec.first).max_pixels
    longest = book.longest_prompt(-(-pixels // spec.cell**2))
    if settings is None:
        return Sizes(0, longest)
    rows = bundle.manifest.batching.max_sequences
    return Sizes(rows, longest + settings.max_new_tokens, settings.temperature)


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


def _tell(loop: asyncio.AbstractEventLoop, answer: asyncio.Future[Look], outcome: Look | Exception) -> None:
    """Hands an outcome from the engine's thread to the caller, who may be gone."""
    with suppress(RuntimeError):  # the caller's loop has closed
        loop.call_soon_threadsafe(_settle, answer, outcome)


def _settle(answer: asyncio.Future[Look], outcome: Look | Exception) -> None:
    if answer.done():
        return
    if isinstance(outcome, Exception):
        answer.set_exception(outcome)
    else:
        answer.set_result(outcome)
