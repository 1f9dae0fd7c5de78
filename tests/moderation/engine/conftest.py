"""A small random checkpoint of the real architecture, written as a bundle folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from moderation.engine.checkpoints import Parts, write_bundle
from ostiary_moderation.bundle import Bundle
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
    return write_bundle(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def tiny(tiny_folder: Path) -> Bundle:
    """The bundle, loaded."""
    return Bundle.load(tiny_folder)


@pytest.fixture(scope="session")
def parts(tiny: Bundle) -> Parts:
    """Its engine in pieces."""
    return Parts(tiny)


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
