"""The engine as a pod uses it: asynchronous, cancellable, honest about what it does not know."""

from __future__ import annotations

import asyncio
import random
import socket
import threading
import time
from collections.abc import AsyncIterator
from queue import SimpleQueue
from typing import Any

import numpy as np
import pytest
import torch

from moderation.engine.checkpoints import Parts, shares
from ostiary_moderation.bundle import ATTRIBUTES, Bundle
from ostiary_moderation.engine import (
    Engine,
    EngineLoad,
    ListingText,
    Look,
    LookExpiredError,
    LookFailedError,
    LookRequest,
    OutOfMemoryError,
)
from ostiary_moderation.engines import load_engine
from ostiary_moderation.engines.qwen3_vl.engine import Qwen3VLEngine
from ostiary_moderation.engines.qwen3_vl.runner import Runner
from ostiary_moderation.views import ImageViews

Views = list[ImageViews]


@pytest.fixture
async def engine(parts: Parts) -> AsyncIterator[Qwen3VLEngine]:
    """An engine, closed afterwards."""
    made = parts.engine()
    yield made
    await made.close()


class Turnstile:
    """The real runner behind a turnstile: prefills wait until they are let through, and are counted."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self.entered: SimpleQueue[tuple[int, str]] = SimpleQueue()  # images in the batch, and the thread
        self.passes = threading.Semaphore(0)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._runner, name)

    def prefill(self, views: Any, *rest: Any) -> Any:
        self.entered.put((len(views), threading.current_thread().name))
        assert self.passes.acquire(timeout=30)
        return self._runner.prefill(views, *rest)

    async def batch(self) -> tuple[int, str]:
        """The next batch that has come to the turnstile."""
        return await asyncio.to_thread(self.entered.get, timeout=30)


@pytest.fixture
async def turnstile(parts: Parts) -> AsyncIterator[tuple[Qwen3VLEngine, Turnstile]]:
    """An engine whose prefills are let through one by one."""
    runner = Turnstile(parts.runner)
    engine = parts.engine(runner)
    yield engine, runner
    for _ in range(100):
        runner.passes.release()
    await engine.close()


def said(look: Look) -> tuple[object, ...]:
    """What a look says, without how long it took; margins to the accuracy that batches keep."""
    scores = tuple((score.question, score.image_index, round(score.margin, 3)) for score in look.scores)
    values = tuple((value.name, value.value, round(value.confidence, 3)) for value in look.attributes)
    return scores, values, look.description, look.language


async def test_a_look_answers_everything_that_is_wanted(engine: Engine, views: Views) -> None:
    """Every question on every image, all eight attributes, a description, and how long each took."""
    look = await engine.look(LookRequest(views[:2]))
    assert [(score.image_index, score.label) for score in look.scores] == [
        (index, label) for index in (0, 1) for label in ("qr_code", "contact_details")
    ]
    assert all(0.0 <= score.probability <= 1.0 for score in look.scores)
    assert tuple(value.name for value in look.attributes) == ATTRIBUTES
    assert look.description is not None
    assert set(look.timings) == {"wait", "look", "closer", "describe"}
    assert look.timings["look"] > 0 < look.timings["describe"]
    assert look.timings["closer"] == 0.0


async def test_an_attribute_that_the_bundle_cannot_see_is_unknown(engine: Engine, views: Views) -> None:
    """With no confidence claimed."""
    look = await engine.look(LookRequest(views[:1]))
    values = {value.name: value for value in look.attributes}
    assert (values["material"].value, values["material"].confidence) == ("unknown", 0.0)
    assert values["colour"].confidence > 0


async def test_only_what_is_wanted_is_done(engine: Engine, views: Views) -> None:
    """Flags alone leave attributes and description out; attributes alone look at the first image only."""
    flags = await engine.look(LookRequest(views[:1], description=False, attributes=False))
    assert (flags.attributes, flags.description, flags.timings["describe"]) == ((), None, 0.0)
    rest = await engine.look(LookRequest(views, flags=False))
    assert rest.scores == ()
    assert rest.description is not None
    described = await engine.look(LookRequest(views[:1], flags=False, attributes=False))
    assert described.description == rest.description
    nothing = await engine.look(LookRequest(views[:1], flags=False, attributes=False, description=False))
    assert said(nothing) == ((), (), None, "en")


@pytest.mark.parametrize(("asked", "spoken"), [("en", "en"), ("zh", "zh"), ("zh-CN", "zh"), ("fr", "en")])
async def test_it_describes_in_a_language_that_it_has(
    engine: Engine, views: Views, asked: str, spoken: str
) -> None:
    """A language that the bundle lacks falls back to its first, and the answer says which it was."""
    request = LookRequest(views[:1], ListingText(language=asked), flags=False, attributes=False)
    assert (await engine.look(request)).language == spoken


async def test_a_look_equals_the_stock_class(engine: Engine, parts: Parts, views: Views) -> None:
    """Through the whole engine: P(yes) as separate forward passes, words as `generate` writes them."""
    pack, view = parts.pack(), views[3]
    look = await engine.look(LookRequest([view]))
    for score, branch in zip(look.scores, pack.questions, strict=False):
        expected = float(shares(parts.alone(view.first, pack, branch))[0])
        raw = 1 / (1 + np.exp(-score.margin))
        assert raw == pytest.approx(expected, abs=1e-4)
    assert look.description == parts.processor.decode(parts.generated(view.first, pack, 32))


async def test_the_event_loop_runs_on_during_a_look(
    turnstile: tuple[Qwen3VLEngine, Turnstile], views: Views
) -> None:
    """Other coroutines get their turns while the model computes in its own thread."""
    engine, runner = turnstile
    looking = asyncio.create_task(engine.look(LookRequest(views[:1])))
    _, thread = await runner.batch()  # the look is inside the model; the loop is still ours
    assert thread != threading.current_thread().name
    runner.passes.release()
    assert (await looking).scores


async def test_looks_that_wait_share_a_forward_pass(
    turnstile: tuple[Qwen3VLEngine, Turnstile], views: Views
) -> None:
    """Equal grids go together, in the order of the line's head; the load says who waits."""
    engine, runner = turnstile
    first = asyncio.create_task(engine.look(LookRequest(views[:1])))
    await runner.batch()
    order = [1, 0, 1, 2, 1]
    others = [asyncio.create_task(engine.look(LookRequest([views[index]]))) for index in order]
    await asyncio.sleep(0)
    assert engine.load().waiting == 5
    sizes = []
    for _ in range(4):
        runner.passes.release()
        if len(sizes) < 3:
            sizes.append((await runner.batch())[0])
    assert sizes == [3, 1, 1]
    looks = await asyncio.gather(first, *others)
    assert said(looks[0]) == said(looks[2])


async def test_concurrent_looks_answer_as_alone(engine: Engine, views: Views) -> None:
    """Requests of different grids at once, again and again, give what each gives by itself."""
    alone = [said(await engine.look(LookRequest([view]))) for view in views]
    for _ in range(3):
        together = await asyncio.gather(*(engine.look(LookRequest([view])) for view in views * 4))
        assert [said(look) for look in together] == alone * 4


async def test_many_looks_with_random_cancellations(engine: Engine, views: Views) -> None:
    """Whoever stays is answered as if nobody else had been there; nothing is left behind."""
    rng = random.Random(4)
    wants = [{"description": d, "attributes": a} for d in (True, False) for a in (True, False)]
    requests = [LookRequest([view], **want) for view in views for want in wants]
    alone = [said(await engine.look(request)) for request in requests]
    picks = [rng.randrange(len(requests)) for _ in range(120)]
    tasks = [asyncio.create_task(engine.look(requests[pick])) for pick in picks]
    for task in rng.sample(tasks, 50):
        await asyncio.sleep(rng.choice([0, 0, 0.005]))
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    answered = 0
    for pick, result in zip(picks, results, strict=True):
        if not isinstance(result, asyncio.CancelledError):
            assert isinstance(result, Look)
            assert said(result) == alone[pick]
            answered += 1
    assert answered >= 70
    await engine.look(requests[0])
    assert engine.load() == EngineLoad(0, 0, 0)


async def test_a_cancelled_look_stops_and_the_next_is_answered(
    turnstile: tuple[Qwen3VLEngine, Turnstile], views: Views
) -> None:
    """The work is given up between two forward passes instead of being finished."""
    engine, runner = turnstile
    looking = asyncio.create_task(engine.look(LookRequest(views)))
    await runner.batch()
    looking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await looking
    following = asyncio.create_task(engine.look(LookRequest(views[:1])))
    await asyncio.sleep(0)
    runner.passes.release()
    await runner.batch()  # the next request's: the three grids that were left are never looked at
    runner.passes.release()
    assert (await following).scores
    assert runner.entered.empty()


async def test_a_look_whose_deadline_passed_fails(
    turnstile: tuple[Qwen3VLEngine, Turnstile], views: Views
) -> None:
    """While it waits, and before anything is computed for it; the others do not suffer."""
    engine, runner = turnstile
    first = asyncio.create_task(engine.look(LookRequest(views[:1])))
    await runner.batch()
    late = asyncio.create_task(engine.look(LookRequest(views[1:2], deadline=time.monotonic() - 1)))
    timely = asyncio.create_task(engine.look(LookRequest(views[2:3], deadline=time.monotonic() + 100)))
    await asyncio.sleep(0)
    runner.passes.release()
    runner.passes.release()
    with pytest.raises(LookExpiredError, match="deadline"):
        await late
    assert (await first).scores
    assert (await timely).scores
    assert runner.entered.qsize() == 1  # the timely one's


class SmallMemory:
    """The real runner with memory for so many images or rows at once.

    Stands for a GPU: there, torch raises this error out of any kernel's allocation; no test machine has one
    whose memory could be filled.
    """

    def __init__(self, runner: Runner, images: int, rows: int = 1000) -> None:
        self._runner, self.images, self.rows = runner, images, rows

    def __getattr__(self, name: str) -> Any:
        return getattr(self._runner, name)

    def prefill(self, views: Any, *rest: Any) -> Any:
        if len(views) > self.images:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return self._runner.prefill(views, *rest)

    def decode(self, first: int, count: int, longest: int, part: bool) -> list[int]:
        if count > self.rows:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return self._runner.decode(first, count, longest, part)


async def test_out_of_memory_splits_batches_and_loses_nothing(parts: Parts, views: Views) -> None:
    """Prefills and decode steps are halved and retried; every look gets the answer that it gets alone."""
    engine = parts.engine(SmallMemory(parts.runner, images=2, rows=1))
    alone = [said(await engine.look(LookRequest([view]))) for view in views]
    together = await asyncio.gather(*(engine.look(LookRequest([view])) for view in views * 5))
    assert [said(look) for look in together] == alone * 5
    assert engine.load().memory_splits > 0
    await engine.close()


async def test_an_image_that_does_not_fit_fails_alone(parts: Parts, views: Views) -> None:
    """One image for which memory does not suffice is told so; the engine goes on."""
    runner = SmallMemory(parts.runner, images=0)
    engine = parts.engine(runner)
    with pytest.raises(OutOfMemoryError, match="does not fit"):
        await engine.look(LookRequest(views[:1]))
    runner.images = 4
    assert (await engine.look(LookRequest(views[:1]))).scores
    assert engine.load().running == 0
    await engine.close()


class Trips:
    """The real runner, whose next prefill fails."""

    def __init__(self, runner: Runner) -> None:
        self._runner, self.trip = runner, True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._runner, name)

    def prefill(self, *arguments: Any) -> Any:
        if self.trip:
            self.trip = False
            raise RuntimeError("a kernel failed")
        return self._runner.prefill(*arguments)


async def test_a_failed_step_fails_its_looks_and_no_others(parts: Parts, views: Views) -> None:
    """The next look is answered by the same thread."""
    engine = parts.engine(Trips(parts.runner))
    with pytest.raises(LookFailedError, match="a kernel failed"):
        await engine.look(LookRequest(views[:1]))
    assert (await engine.look(LookRequest(views[:1]))).scores
    await engine.close()


async def test_closing_fails_what_is_left(turnstile: tuple[Qwen3VLEngine, Turnstile], views: Views) -> None:
    """Looks inside the model and looks in line end with an error, none of them waits for ever."""
    engine, runner = turnstile
    looks = [asyncio.create_task(engine.look(LookRequest([view]))) for view in views]
    await runner.batch()
    closing = asyncio.create_task(engine.close())
    await asyncio.sleep(0)
    runner.passes.release()
    for look in looks:
        with pytest.raises(LookFailedError, match="closed"):
            await look
    await closing


@pytest.mark.parametrize(
    ("images", "words"),
    [
        pytest.param([], "no image", id="none"),
        pytest.param([np.zeros((4, 4), np.uint8)], "H × W × 3", id="grey"),
        pytest.param([np.zeros((4, 4, 3), np.float32)], "uint8", id="floats"),
        pytest.param([np.zeros((0, 4, 3), np.uint8)], "H × W × 3", id="empty"),
        pytest.param([np.zeros((33, 64, 3), np.uint8)], "view_spec", id="not made by the spec"),
    ],
)
async def test_what_is_no_image_is_refused(engine: Engine, images: list[Any], words: str) -> None:
    """Wrong shapes are the caller's error, in words, and never scored."""
    with pytest.raises(ValueError, match=words):
        await engine.look(LookRequest([ImageViews(image) for image in images]))


async def test_a_closed_engine_refuses(tiny: Bundle, views: Views) -> None:
    """Closing twice is fine; looking afterwards is not."""
    engine = load_engine(tiny, threads=1)
    await engine.close()
    await engine.close()
    with pytest.raises(LookFailedError, match="closed"):
        await engine.look(LookRequest(views[:1]))


async def test_loading_needs_no_network(tiny: Bundle, monkeypatch: pytest.MonkeyPatch, views: Views) -> None:
    """With every connection refused, the bundle loads and looks."""

    def refuse(*_: object) -> None:
        raise OSError("no network in this test")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    engine = load_engine(tiny, threads=1)
    assert (await engine.look(LookRequest(views[:1]))).scores
    await engine.close()
