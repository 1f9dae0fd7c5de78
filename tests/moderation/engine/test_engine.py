"""The engine as a pod uses it: asynchronous, cancellable, honest about what it does not know."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from ostiary_moderation.bundle import ATTRIBUTES, Bundle, BundleError, measure_weights
from ostiary_moderation.engine import Engine, ListingText, LookRequest
from ostiary_moderation.engines import load_engine
from ostiary_moderation.views import ImageViews

Views = list[ImageViews]


@pytest.fixture
async def engine(tiny: Bundle) -> AsyncIterator[Engine]:
    """A loaded engine, closed afterwards."""
    loaded = load_engine(tiny, threads=1)
    yield loaded
    await loaded.close()


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
    rest = await engine.look(LookRequest(views[:1], flags=False))
    assert rest.scores == ()
    assert rest.description is not None


@pytest.mark.parametrize(("asked", "spoken"), [("en", "en"), ("zh", "zh"), ("zh-CN", "zh"), ("fr", "en")])
async def test_it_describes_in_a_language_that_it_has(
    engine: Engine, views: Views, asked: str, spoken: str
) -> None:
    """A language that the bundle lacks falls back to its first, and the answer says which it was."""
    request = LookRequest(views[:1], ListingText(language=asked), flags=False, attributes=False)
    assert (await engine.look(request)).language == spoken


async def test_the_event_loop_runs_on_during_a_look(engine: Engine, views: Views) -> None:
    """Other coroutines get their turns while the model computes in its own thread."""
    names: list[str] = []
    original = engine._runner.prefill  # type: ignore[attr-defined]
    began, go_on = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def prefill(prefix: Any) -> Any:
        names.append(threading.current_thread().name)
        loop.call_soon_threadsafe(began.set)
        assert go_on.wait(30)
        return original(prefix)

    engine._runner.prefill = prefill  # type: ignore[attr-defined]
    looking = asyncio.create_task(engine.look(LookRequest(views[:1])))
    await asyncio.wait_for(began.wait(), 30)  # the look is inside the model; the loop is still ours
    go_on.set()
    await looking
    assert names[0] != threading.current_thread().name


async def test_concurrent_looks_answer_as_alone(engine: Engine, views: Views) -> None:
    """Requests of different grids at once give what each gives by itself."""
    alone = [await engine.look(LookRequest([view])) for view in views]
    together = await asyncio.gather(*(engine.look(LookRequest([view])) for view in views))
    for one, other in zip(alone, together, strict=True):
        assert (one.scores, one.attributes, one.description) == (
            other.scores,
            other.attributes,
            other.description,
        )


async def test_a_cancelled_look_stops_and_the_next_is_answered(engine: Engine, views: Views) -> None:
    """The thread gives the cancelled work up between two images instead of finishing it."""
    original = engine._runner.prefill  # type: ignore[attr-defined]
    began, go_on = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()
    count = 0

    def prefill(prefix: Any) -> Any:
        nonlocal count
        count += 1
        loop.call_soon_threadsafe(began.set)
        assert go_on.wait(30)
        return original(prefix)

    engine._runner.prefill = prefill  # type: ignore[attr-defined]
    looking = asyncio.create_task(engine.look(LookRequest(views)))
    await asyncio.wait_for(began.wait(), 30)
    looking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await looking
    go_on.set()
    look = await engine.look(LookRequest(views[:1]))
    assert look.scores
    assert count == 2  # one of the four that were cancelled, and the next request's


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
    with pytest.raises(RuntimeError, match="closed"):
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


@pytest.fixture
def copied(tiny_folder: Path, tmp_path: Path) -> Path:
    """A copy of the bundle to damage."""
    return Path(shutil.copytree(tiny_folder, tmp_path / "bundle"))


def rewrite(folder: Path, weights: dict[str, NDArray[Any]]) -> None:
    """Replaces the weights and makes the manifest agree with them."""
    path = folder / "model.safetensors"
    save_file(weights, path, metadata={"format": "pt"})
    manifest = yaml.safe_load((folder / "bundle.yaml").read_text("utf-8"))
    manifest["weights_digest"] = measure_weights([path]).hex()
    (folder / "bundle.yaml").write_text(yaml.safe_dump(manifest, allow_unicode=True), "utf-8")


def ones(folder: Path) -> dict[str, NDArray[Any]]:
    """Weights of the right names and shapes, as float32."""
    from safetensors.torch import load_file as load_torch

    return {name: tensor.float().numpy() for name, tensor in load_torch(folder / "model.safetensors").items()}


def test_missing_weights_are_refused(copied: Path) -> None:
    """The library would fill them with random numbers and go on."""
    weights = ones(copied)
    del weights["model.language_model.norm.weight"]
    rewrite(copied, weights)
    assert "model.language_model.norm.weight" not in load_file(copied / "model.safetensors")
    with pytest.raises(BundleError, match="missing keys"):
        load_engine(Bundle.load(copied), threads=1)


def test_weights_of_another_shape_are_refused(copied: Path) -> None:
    """So are weights that do not fit the configuration."""
    weights = ones(copied)
    weights["model.language_model.norm.weight"] = np.ones(7, np.float32)
    rewrite(copied, weights)
    with pytest.raises(BundleError):
        load_engine(Bundle.load(copied), threads=1)


def test_another_architecture_is_refused(copied: Path) -> None:
    """The manifest's engine runs one architecture."""
    config = json.loads((copied / "config.json").read_text("utf-8"))
    config["model_type"] = "llava"
    (copied / "config.json").write_text(json.dumps(config), "utf-8")
    with pytest.raises(BundleError, match=r"config\.json"):
        load_engine(Bundle.load(copied), threads=1)


def test_a_bundle_without_a_tokenizer_is_refused(copied: Path) -> None:
    """Nothing is looked for anywhere else."""
    (copied / "tokenizer.json").unlink()
    with pytest.raises(BundleError, match="processor files"):
        load_engine(Bundle.load(copied), threads=1)


async def test_a_model_that_answers_no_number_is_an_error(copied: Path, views: Views) -> None:
    """NaN must not become a probability below every threshold."""
    weights = ones(copied)
    weights["model.language_model.norm.weight"][:] = np.nan
    rewrite(copied, weights)
    engine = load_engine(Bundle.load(copied), threads=1)
    with pytest.raises(ArithmeticError, match="no number"):
        await engine.look(LookRequest(views[:1]))
    await engine.close()
