"""A floor: a linear probe on colour histograms, which sees no shapes at all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ostiary_moderation.evaluation.intervals import Figure, wilson
from ostiary_moderation.evaluation.photos import LabelledPhoto

Floats = NDArray[np.float64]
_LEVELS = 6  # per channel: 216 bins
_STEPS = 400


def probe(train: Sequence[LabelledPhoto], test: Sequence[LabelledPhoto], name: str) -> Figure | None:
    """How often the probe, fitted on some photographs, names an attribute of others right.

    None where either side lacks labels of it, or there is nothing to tell apart.
    """
    known = [photo for photo in train if name in photo.labels]
    asked = [photo for photo in test if name in photo.labels]
    values = sorted({photo.labels[name] for photo in known})
    if len(values) < 2 or not asked:
        return None
    truth = np.array([values.index(photo.labels[name]) for photo in known])
    weights = fit_softmax(_features(known), truth, len(values))
    said = (_features(asked) @ weights).argmax(axis=1)
    right = sum(values[index] == photo.labels[name] for index, photo in zip(said, asked, strict=True))
    return wilson(right, len(asked))


def fit_softmax(features: Floats, truth: NDArray[np.intp], classes: int, decay: float = 1e-4) -> Floats:
    """Weights (features, classes) of multinomial logistic regression, by accelerated gradient descent.

    `features`: (N, F), each column of about unit size. `truth`: (N,), classes by index.
    """
    wanted = np.eye(classes)[truth]
    rate = 4.0 / max(1.0, float(np.linalg.norm(features, 2)) ** 2 / len(features))
    weights = ahead = np.zeros((features.shape[1], classes))
    for step in range(_STEPS):
        logits = features @ ahead
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
        gradient = features.T @ (shares - wanted) / len(features) + decay * ahead
        moved = ahead - rate * gradient
        ahead = moved + step / (step + 3) * (moved - weights)
        weights = moved
    return weights


def _features(photos: Sequence[LabelledPhoto]) -> Floats:
    """(N, 217): the square root of each bin's share, and a constant."""
    rows = [_histogram(photo.path) for photo in photos]
    return np.stack([np.append(np.sqrt(row), 1.0) for row in rows]) * 3.0


def _histogram(path: Path) -> Floats:
    with Image.open(path) as image:
        small = np.asarray(image.convert("RGB").resize((64, 64), Image.Resampling.BOX))
    bins = (small.reshape(-1, 3).astype(np.intp) * _LEVELS) // 256
    flat = bins @ np.array([_LEVELS * _LEVELS, _LEVELS, 1])
    return np.bincount(flat, minlength=_LEVELS**3) / len(flat)
