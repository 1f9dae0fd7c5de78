"""A small random checkpoint of the real architecture, written as a bundle folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from ostiary_moderation.bundle import Bundle, Manifest
from ostiary_moderation.engines.qwen3_vl.loading import load_model, load_processor
from ostiary_moderation.engines.qwen3_vl.processor import ImageOnlyProcessor
from ostiary_moderation.engines.qwen3_vl.runner import Runner
from ostiary_moderation.training import library
from ostiary_moderation.training.architecture import build_config, build_model
from ostiary_moderation.training.export import write_manifest, write_model
from ostiary_moderation.training.tokenizer import build_tokenizer
from ostiary_moderation.views import ImageViews, make_views


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Tests share the machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle folder with random weights, 64 wide."""
    folder = tmp_path_factory.mktemp("tiny")
    tokenizer = build_tokenizer(Manifest.model_validate(library.manifest("0" * 64, {})), seed=1)
    model = build_model(build_config(tokenizer, width=64), seed=1)
    for parameter in model.parameters():  # far from the near-zero start, so that errors cannot hide
        if parameter.ndim > 1:
            parameter.data.mul_(4.0)
    write_model(folder, model, tokenizer)
    write_manifest(folder, {})
    return folder


@pytest.fixture(scope="session")
def tiny(tiny_folder: Path) -> Bundle:
    """The bundle, loaded."""
    return Bundle.load(tiny_folder)


@pytest.fixture(scope="session")
def processor(tiny: Bundle) -> ImageOnlyProcessor:
    """Its processor."""
    return load_processor(tiny)


@pytest.fixture(scope="session")
def model(tiny: Bundle) -> Any:
    """Its model, as the engine loads it."""
    return load_model(tiny)


@pytest.fixture(scope="session")
def runner(model: Any) -> Runner:
    """A runner over the model."""
    return Runner(model)


@pytest.fixture(scope="session")
def pictures() -> list[NDArray[np.uint8]]:
    """Noise of four shapes, which the pixel budget turns into four different grids."""
    rng = np.random.default_rng(5)
    shapes = [(400, 300), (300, 400), (256, 256), (120, 500)]
    return [rng.integers(0, 256, (*shape, 3), dtype=np.uint8) for shape in shapes]


@pytest.fixture(scope="session")
def views(tiny: Bundle, pictures: list[NDArray[np.uint8]]) -> list[ImageViews]:
    """What the bundle's model is shown of them."""
    return [make_views(picture, tiny.view_spec) for picture in pictures]
