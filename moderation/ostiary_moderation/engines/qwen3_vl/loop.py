"""The engine's thread: schedule, run, take the answers in, over and over. It alone touches the model."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from queue import Empty, SimpleQueue
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ostiary_moderation.engine import EngineLoad, LookExpiredError, LookFailedError, OutOfMemoryError
from ostiary_moderation.engines.qwen3_vl.answering import Answering
from ostiary_moderation.engines.qwen3_vl.packs import Pack
from ostiary_moderation.engines.qwen3_vl.request import LookWork
from ostiary_moderation.engines.qwen3_vl.request import Sequence as Image
from ostiary_moderation.engines.qwen3_vl.scheduler import Decode, Prefill, Scheduler

Inbox = SimpleQueue[LookWork | None]  # None: close


class Answers(Protocol):
    """What a prefill found; see `runner.Answers`."""

    @property
    def logits(self) -> list[list[NDArray[np.float32]]]:
        """For each image, for each question, those of its answers."""
        ...

    @property
    def first(self) -> list[int]:
        """For each image, the first token of its description."""
        ...


class Runs(Protocol):
    """The forward passes; see `runner.Runner`."""

    def prefill(
        self,
        views: Sequence[NDArray[np.uint8]],
        pack: Pack,
        rows: Sequence[int | None],
        dice: Sequence[NDArray[np.float32] | None],
    ) -> Answers:
        """Asks a pack about images."""
        ...

    def decode(self, first: int, count: int, longest: int, part: bool) -> list[int]:
        """One more token for some rows."""
        ...

    def move(self, source: int, target: int) -> None:
        """Copies a row over another."""
        ...

    def ran_out_of_memory(self, error: Exception) -> bool:
        """Whether an error says so; what can be freed is freed."""
        ...


class EngineLoop:
    """Works looks off. Any thread may ask for the load; everything else belongs to the one that runs it."""

    def __init__(self, inbox: Inbox, scheduler: Scheduler[Image], runner: Runs, answering: Answering) -> None:
        self._inbox, self._scheduler, self._runner, self._answering = inbox, scheduler, runner, answering
        self._splits = 0
        self._closing = False

    def run(self) -> None:
        """Works until it is told to close. `abandon` what is left then."""
        while not self._closing:
            self._receive()
            self._turn()

    def load(self) -> EngineLoad:
        """What there is to do now, besides what is in the inbox."""
        return EngineLoad(self._scheduler.waiting, self._scheduler.running, self._splits)

    def abandon(self) -> None:
        """Fails every look that is not answered yet. Nothing may be put into the inbox any more."""
        self._closing = True
        self._receive()
        self._fail(self._scheduler.clear(), LookFailedError("the engine closed while it was looking"))

    def _turn(self) -> None:
        """One step, where there is anything to do."""
        scheduler = self._scheduler
        self._fail(scheduler.sweep(time.monotonic()), LookExpiredError("the look's deadline passed"))
        for move in scheduler.compact():
            self._runner.move(move.source, move.target)
        step = scheduler.next()
        if step is None:
            return
        started = time.monotonic()
        try:
            tokens = self._prefill(step) if isinstance(step, Prefill) else self._decode(step)
        except Exception as error:
            self._failed(step, error)
        else:
            seconds = time.monotonic() - started
            _account(step, started, seconds)
            self._describe(step.sequences, tokens)
            scheduler.done(step, seconds)

    def _receive(self) -> None:
        """Takes new looks in; waits for one only where there is nothing else to do."""
        idle = not self._closing and not self._scheduler.waiting and not self._scheduler.running
        try:
            while True:
                look = self._inbox.get(block=idle)
                idle = False
                if look is None:
                    self._closing = True
                else:
                    self._open(look)
        except Empty:
            pass

    def _open(self, look: LookWork) -> None:
        try:
            self._scheduler.add(self._answering.open(look))
        except Exception as error:
            look.finish(_failure(error))

    def _prefill(self, step: Prefill[Image]) -> list[int]:
        """Each sequence's first token of a description; of those that want none, anything."""
        images = step.sequences
        answers = self._runner.prefill(
            [image.view for image in images],
            images[0].pack,
            [image.row for image in images],
            [self._answering.dice(image) if image.row is not None else None for image in images],
        )
        for image, logits in zip(images, answers.logits, strict=True):
            try:
                closer = self._answering.answered(image, logits)
            except ArithmeticError as error:
                self._fail([image], _failure(error))
                continue
            if closer is not None:
                self._scheduler.leave(image)
                self._scheduler.put_first(closer)
            elif not image.wants_row:
                self._end(image)
            if (
                image.look.rejected
                and (describing := image.look.describing) is not None
                and describing.written
            ):
                self._end(describing)
        return answers.first

    def _decode(self, step: Decode[Image]) -> list[int]:
        images = step.sequences
        return self._runner.decode(step.first, len(images), max(image.held for image in images), step.part)

    def _describe(self, images: Sequence[Image], tokens: Sequence[int]) -> None:
        """Takes the next token of every description in; ends those that it ends."""
        for image, token in zip(images, tokens, strict=True):
            if image.row is None:
                continue  # it wants none, or left while the step was computed
            if not image.wants_row:
                self._end(image)
                continue
            try:
                if self._answering.describe(image, token):
                    self._end(image)
            except ArithmeticError as error:
                self._fail([image], _failure(error))

    def _end(self, image: Image) -> None:
        self._scheduler.leave(image)
        self._answering.end(image)

    def _failed(self, step: Prefill[Image] | Decode[Image], error: Exception) -> None:
        """A step failed: for want of memory its halves come next; else its looks fail, and no others."""
        if not self._runner.ran_out_of_memory(error):
            self._fail(step.sequences, _failure(error))
        elif self._scheduler.split(step):
            self._splits += 1
        else:
            tokens = step.sequences[0].tokens
            failure = OutOfMemoryError(f"one image of {tokens} tokens does not fit into memory")
            failure.__cause__ = error
            self._fail(step.sequences, failure)

    def _fail(self, images: Iterable[Image], failure: LookFailedError) -> None:
        for image in images:
            self._scheduler.leave(image)
            image.look.finish(failure)


def _account(step: Prefill[Image] | Decode[Image], started: float, seconds: float) -> None:
    """Adds a step's time to the looks that it worked for, once each and stage."""
    stages = {
        (image.look, "describe" if isinstance(step, Decode) else "closer" if image.closer else "look")
        for image in step.sequences
    }
    for look, stage in stages:
        look.timings[stage] += seconds
        if not look.started:
            look.started = True
            look.timings["wait"] = started - look.submitted


def _failure(error: Exception) -> LookFailedError:
    failure = LookFailedError(f"the model failed: {error}")
    failure.__cause__ = error
    return failure
