"""Puts examples to an engine as a pod would, and keeps its answers beside the truth."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ostiary_moderation.engine import Engine, Look, LookRequest
from ostiary_moderation.evaluation.examples import Example
from ostiary_moderation.views import ImageViews, make_views

Progress = Callable[[int], None]  # gets how many are done


@dataclass(frozen=True)
class Answered:
    """An example and what was seen of it."""

    example: Example
    look: Look


async def examine(
    engine: Engine, examples: Iterable[Example], concurrency: int = 16, progress: Progress = lambda _: None
) -> list[Answered]:
    """The answers, in the order of the examples, with up to `concurrency` of them in the engine's hands.

    Flags are asked of every example, attributes of those whose attributes are known, descriptions of none.
    Whatever drawing or looking raises ends the examination.
    """
    answered: dict[int, Answered] = {}
    waiting = iter(enumerate(examples))

    async def work() -> None:
        for index, example in waiting:
            views = await asyncio.to_thread(_views, engine, example)
            wants = bool(example.attributes)
            look = await engine.look(LookRequest([views], description=False, attributes=wants))
            answered[index] = Answered(example, look)
            progress(len(answered))

    workers = [asyncio.create_task(work()) for _ in range(concurrency)]
    try:
        await asyncio.gather(*workers)
    finally:
        for worker in workers:
            worker.cancel()
    return [answered[index] for index in sorted(answered)]


def _views(engine: Engine, example: Example) -> ImageViews:
    return make_views(example.pixels(), engine.view_spec)
