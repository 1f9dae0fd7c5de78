"""The floor that sees colours only."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ostiary_moderation.evaluation.photos import LabelledPhoto
from ostiary_moderation.evaluation.probe import fit_softmax, probe


@pytest.fixture
def photos(tmp_path: Path) -> list[LabelledPhoto]:
    """Reddish dresses, bluish hats, with noise."""
    rng = np.random.default_rng(0)
    found = []
    for index in range(40):
        kind, tint = (("dress", (200, 60, 60)), ("hat", (60, 60, 200)))[index % 2]
        pixels = np.clip(rng.normal(tint, 40, (40, 30, 3)), 0, 255).astype(np.uint8)
        path = tmp_path / f"{index}.png"
        Image.fromarray(pixels).save(path)
        found.append(LabelledPhoto(path, path.name, str(index), {"category": kind}))
    return found


def test_it_tells_what_colours_tell(photos: list[LabelledPhoto]) -> None:
    """Trained on some, it knows the others."""
    figure = probe(photos[:30], photos[30:], "category")
    assert figure is not None
    assert (figure.value, figure.n) == (1.0, 10)


@pytest.mark.parametrize(("train", "test"), [(0, 10), (1, 10), (30, 40)])
def test_nothing_to_learn_or_to_ask_gives_no_floor(
    photos: list[LabelledPhoto], train: int, test: int
) -> None:
    """No photographs, one kind alone, or none to test on."""
    assert probe(photos[:train], photos[test:test], "category") is None


def test_the_regression_finds_the_optimum() -> None:
    """At the fitted weights, the gradient of the penalised likelihood is almost nothing."""
    rng = np.random.default_rng(4)
    features = np.append(rng.normal(size=(300, 4)), np.ones((300, 1)), axis=1)
    truth = (features @ rng.normal(size=(5, 3)) + rng.gumbel(size=(300, 3))).argmax(axis=1)
    weights = fit_softmax(features, truth, 3, decay=1e-2)
    shares = np.exp(features @ weights)
    shares /= shares.sum(axis=1, keepdims=True)
    gradient = features.T @ (shares - np.eye(3)[truth]) / 300 + 1e-2 * weights
    assert np.abs(gradient).max() < 1e-4
