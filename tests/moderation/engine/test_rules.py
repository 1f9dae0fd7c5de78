"""What a bundle's rules make of answers: closer looks, no words for the rejected, floors, drawn words."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from moderation.engine.checkpoints import Parts, changed, shares
from ostiary_moderation.bundle import Bundle
from ostiary_moderation.engine import Engine, ListingText, Look, LookRequest
from ostiary_moderation.engines.qwen3_vl.engine import Qwen3VLEngine
from ostiary_moderation.views import ImageViews, make_views

Loads = Callable[..., Awaitable[Qwen3VLEngine]]
CLOSER = {"min_pixels": 200_000, "max_pixels": 260_000}


@pytest.fixture
async def load(tiny: Bundle) -> AsyncIterator[Loads]:
    """Loads the small bundle with a changed manifest; engines are closed afterwards."""
    opened: list[Qwen3VLEngine] = []

    async def loads(**changes: Any) -> Qwen3VLEngine:
        opened.append(Parts(changed(tiny, **changes)).engine())
        return opened[-1]

    yield loads
    for engine in opened:
        await engine.close()


def shown(engine: Engine, pictures: list[NDArray[np.uint8]]) -> list[ImageViews]:
    """The views that an engine asks for."""
    return [make_views(picture, engine.view_spec) for picture in pictures]


Pictures = list[NDArray[np.uint8]]


async def highest(engine: Engine, view: ImageViews) -> float:
    """The highest probability of any question on an image."""
    look = await engine.look(LookRequest([view], description=False, attributes=False))
    return max(score.probability for score in look.scores)


async def test_an_uncertain_image_is_looked_at_again(load: Loads, tiny: Bundle, pictures: Pictures) -> None:
    """The closer look's answers, attributes and description replace the first look's."""
    engine = await load(pixels={"closer": {**CLOSER, "low": 0.0, "high": 1.0}})
    [views] = shown(engine, pictures[:1])
    look = await engine.look(LookRequest([views]))
    assert look.timings["closer"] > 0 < look.timings["look"]
    closely = Parts(changed(tiny, pixels=CLOSER))
    pack = closely.pack()
    assert views.closer is not None
    for score, branch in zip(look.scores, pack.questions, strict=False):
        expected = float(shares(closely.alone(views.closer, pack, branch))[0])
        assert 1 / (1 + np.exp(-score.margin)) == pytest.approx(expected, abs=1e-4)
    words = closely.generated(views.closer, pack, 32)
    assert look.description == closely.processor.decode(words)


async def test_a_certain_image_is_looked_at_once(load: Loads, pictures: Pictures) -> None:
    """Outside the range the first look is final, and so it is for an image without a closer view."""
    plain = await load()
    top = await highest(plain, shown(plain, pictures[:1])[0])
    low = min(1.0, top + 0.01)
    engine = await load(pixels={"closer": {**CLOSER, "low": low, "high": 1.0}})
    [views] = shown(engine, pictures[:1])
    assert (await engine.look(LookRequest([views]))).timings["closer"] == 0.0
    always = await load(pixels={"closer": {**CLOSER, "low": 0.0, "high": 1.0}})
    assert (await always.look(LookRequest([ImageViews(views.first)]))).timings["closer"] == 0.0
    assert (await always.look(LookRequest([views], flags=False))).timings["closer"] == 0.0


async def test_many_images_are_each_looked_at_as_closely_as_they_need(
    load: Loads, pictures: Pictures
) -> None:
    """Several images of one look, some of them twice, scored in their order."""
    plain = await load()
    tops = [await highest(plain, view) for view in shown(plain, pictures)]
    middle = sorted(tops)[2]
    engine = await load(pixels={"closer": {**CLOSER, "low": 0.0, "high": middle - 1e-6}})
    everywhere = await load(pixels={"closer": {**CLOSER, "low": 0.0, "high": 1.0}})
    first = await plain.look(LookRequest(shown(plain, pictures)))
    closer = await everywhere.look(LookRequest(shown(everywhere, pictures)))
    mixed = await engine.look(LookRequest(shown(engine, pictures)))
    assert [score.image_index for score in mixed.scores] == [0, 0, 1, 1, 2, 2, 3, 3]
    seen = {round(score.margin, 3) for score in mixed.scores}
    assert seen & {round(score.margin, 3) for score in first.scores}
    assert seen & {round(score.margin, 3) for score in closer.scores}


@pytest.mark.parametrize("rejected", [0, 2])
async def test_the_rejected_are_not_described(load: Loads, pictures: Pictures, rejected: int) -> None:
    """A certain reject of any image of the check leaves the description out, unless it was asked for."""
    plain = await load()
    views = shown(plain, pictures)
    tops = [await highest(plain, view) for view in views]
    order = sorted(range(4), key=lambda index: tops[index])
    views = [views[index] for index in order]  # the last is the likeliest to be rejected
    views.insert(rejected, views.pop())
    engine = await load(description={"reject": max(tops) - 1e-6})
    look = await engine.look(LookRequest(views))
    assert (look.description, len(look.scores)) == (None, 8)
    assert all(value.confidence >= 0 for value in look.attributes)
    asked = await engine.look(LookRequest(views, describe_rejected=True))
    assert asked.description == (await plain.look(LookRequest(views))).description
    assert (await engine.look(LookRequest(views, flags=False))).description == asked.description
    others = views[:rejected] + views[rejected + 1 :]
    assert (await engine.look(LookRequest(others))).description is not None
    assert engine.load().running == 0


async def test_an_attribute_below_its_floor_is_unknown(load: Loads, pictures: Pictures) -> None:
    """The value is withheld, its confidence is told."""
    plain, engine = await load(), await load(attribute_floor={"colour": 1.0})
    sees = {value.name: value for value in await attributes(plain, pictures)}
    doubts = {value.name: value for value in await attributes(engine, pictures)}
    assert sees["colour"].value != "unknown"
    assert doubts["colour"].value == "unknown"
    assert doubts["colour"].confidence == pytest.approx(sees["colour"].confidence)
    assert doubts["category"].value == sees["category"].value


async def test_an_attribute_is_calibrated(load: Loads, pictures: Pictures) -> None:
    """Probabilities are the softmax of the scaled and shifted logits, in the ranking too."""
    plain = await load()
    (sees,) = [each for each in await attributes(plain, pictures) if each.name == "colour"]
    second = sees.ranking[1][0]
    fitted = {"colour": {"slope": 0.5, "biases": {second: 20.0}}}
    (now,) = [
        each
        for each in await attributes(await load(attribute_calibration=fitted), pictures)
        if each.name == "colour"
    ]
    assert (now.value, now.confidence) == (second, pytest.approx(1.0, abs=1e-3))
    halved = {value: share**0.5 for value, share in sees.ranking if value != second}
    rest = {value: share for value, share in now.ranking if value != second}
    assert {value: share / sum(rest.values()) for value, share in rest.items()} == pytest.approx(
        {value: share / sum(halved.values()) for value, share in halved.items()}, rel=1e-3
    )


async def attributes(engine: Engine, pictures: Pictures) -> Any:
    """The first picture's."""
    views = shown(engine, pictures[:1])
    return (await engine.look(LookRequest(views, flags=False, description=False))).attributes


async def test_drawn_words_are_the_same_for_the_same_picture(load: Loads, pictures: Pictures) -> None:
    """At a temperature too: in any company, after a restart; other pictures and languages get others."""
    engine, again = await load(description={"temperature": 1.2}), await load(description={"temperature": 1.2})
    greedy = await load()
    views = shown(engine, pictures)

    async def words(engine: Engine, view: ImageViews, language: str = "en") -> str | None:
        wants = LookRequest([view], ListingText(language=language), flags=False, attributes=False)
        return (await engine.look(wants)).description

    first = [await words(engine, view) for view in views]
    assert [await words(engine, view) for view in views] == first
    assert [await words(again, view) for view in views[::-1]] == first[::-1]
    assert len(set(first)) == len(views)
    assert await words(greedy, views[0]) != first[0]
    assert await words(engine, views[0], "zh") != first[0]


async def test_a_category_has_its_own_instruction(load: Loads, tiny: Bundle, pictures: Pictures) -> None:
    """Listings of a prompt category are described with its text; others with the general one."""
    texts = {
        "general": dict(tiny.manifest.prompts.describe["general"]),
        "shoes": {"en": "Describe the shoes."},
    }
    engine = await load(prompts={**tiny.manifest.prompts.model_dump(mode="json"), "describe": texts})
    views = shown(engine, pictures[:1])

    async def described(category: str) -> Look:
        listing = ListingText(category=category)
        return await engine.look(LookRequest(views, listing, flags=False, attributes=False))

    assert (await described("shoes")).description != (await described("")).description
    assert (await described("hats")).description == (await described("")).description
