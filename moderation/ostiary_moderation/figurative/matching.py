"""Marks of a gallery, compared with what is seen in images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ostiary_moderation.figurative.alignment import agreement, first_guess
from ostiary_moderation.figurative.marks import Mark
from ostiary_moderation.figurative.networks import Networks
from ostiary_moderation.figurative.sight import Sight, look
from ostiary_moderation.figurative.view import Box, Floats, Pixels

FEATURES = ("cosine", "agreement", "lead", "place", "ground", "crisp", "size", "marks")
_SHORTLIST = 30
_CLOSELY = 4
_TURNS = (-16.0, -8.0, 0.0, 8.0, 16.0)
_GROUND_QUANTILE = 0.995
_SAME, _DETAIL = 0.3, 0.7
_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class Match:
    """The likeliest mark for something seen. `features`: as FEATURES names them."""

    mark: Mark
    box: Box
    features: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """A mark in an image, and how likely it is that one, 0 to 1."""

    mark: Mark
    box: Box
    score: float


@dataclass(frozen=True)
class Score:
    """A logistic function of the features."""

    mean: Floats
    scale: Floats
    weights: Floats
    bias: float

    @classmethod
    def of(cls, networks: Networks) -> Score:
        """As fitted to these networks."""
        fitted = networks.scoring["score"]
        mean, scale, weights = (np.array(fitted[name], np.float32) for name in ("mean", "scale", "weights"))
        return cls(mean, scale, weights, float(fitted["bias"]))

    def __call__(self, features: Sequence[float]) -> float:
        """0 to 1."""
        x = float(((np.array(features, np.float32) - self.mean) / self.scale) @ self.weights) + self.bias
        return 1.0 / (1.0 + math.exp(-min(max(x, -30.0), 30.0)))


class Matcher:
    """Compares with marks. Marks that look like what is seen where none is are `refused`, with the reason."""

    def __init__(self, networks: Networks, marks: Sequence[Mark]) -> None:
        self._networks = networks
        directions = directions_of(networks, marks)
        levels = ground_levels(networks, directions)
        limit = float(networks.scoring["ground_limit"])
        self.refused = [
            f"{mark.reference_id}: folds, seams and patterns of clothes look like it (likeness {level:.2f}; "
            f"up to {limit:.2f} can be told apart): give a mark with more shape, or register its words"
            for mark, level in zip(marks, levels, strict=True)
            if level > limit
        ]
        kept = np.flatnonzero(levels <= limit)
        self.marks = [marks[number] for number in kept.tolist()]
        self._directions, self._levels = directions[kept], levels[kept]
        self._brands = np.array([mark.brand for mark in self.marks])
        self._breadth = math.log(max(1, len(set(self._brands.tolist()))))

    def find(self, pixels: Pixels, min_score: float) -> list[Found]:
        """Marks in an image, height × width × 3: one for each place, from that score on, the surest first."""
        return self.told(look(self._networks, pixels), min_score)

    def told(self, sights: Sequence[Sight], min_score: float) -> list[Found]:
        """As `find`, from what was seen in an image."""
        score = Score.of(self._networks)
        found = [Found(match.mark, match.box, score(match.features)) for match in self.compare(sights)]
        kept: list[Found] = []
        for one in sorted(found, key=lambda one: -one.score):
            if one.score >= min_score and not any(_is_part(one.box, other.box) for other in kept):
                kept.append(one)
        return kept

    def compare(self, sights: Sequence[Sight]) -> list[Match]:
        """For each thing seen the mark that fits best; nothing where there are no marks."""
        if not self.marks or not sights:
            return []
        seen = np.stack([sight.direction for sight in sights])
        cosines = (self._directions @ seen.T).max(axis=1).T
        inks = np.stack([sight.ink for sight in sights])
        listed, maps = self._shortlist(cosines, inks)
        count = listed.shape[1]
        fits = agreement(self._shapes(listed), np.repeat(inks, count, axis=0), maps)
        return [
            self._best(sight, numbers, cosines[row, numbers], fits[row * count : (row + 1) * count])
            for row, (sight, numbers) in enumerate(zip(sights, listed, strict=True))
        ]

    def _shortlist(self, cosines: Floats, inks: Floats) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """For each thing seen the numbers of the marks to compare closely, and how each pair may fit."""
        count = min(_SHORTLIST, len(self.marks))
        listed = np.argpartition(-cosines, count - 1, axis=1)[:, :count]
        guesses, maps = first_guess(self._shapes(listed), np.repeat(inks, count, axis=0))
        worth = np.take_along_axis(cosines, listed, axis=1) + guesses.reshape(listed.shape)
        closely = np.argsort(-worth, axis=1)[:, :_CLOSELY]
        chosen = np.take_along_axis(maps.reshape(*listed.shape, 2, 3), closely[:, :, None, None], axis=1)
        return np.take_along_axis(listed, closely, axis=1), chosen.reshape(-1, 2, 3)

    def _shapes(self, numbers: NDArray[np.int64]) -> Floats:
        return np.stack([self.marks[number].shape for number in numbers.ravel().tolist()])

    def _best(self, sight: Sight, numbers: NDArray[np.int64], cosines: Floats, fits: Floats) -> Match:
        worth = cosines + fits
        best = int(np.argmax(worth))
        number = int(numbers[best])
        others = worth[self._brands[numbers] != self._brands[number]]
        lead = float(worth[best] - others.max()) if len(others) else 1.0
        features = (
            float(cosines[best]),
            float(fits[best]),
            min(lead, 1.0),
            sight.logit,
            float(self._levels[number]),
            sight.crispness,
            math.log(sight.box.longer),
            self._breadth,
        )
        return Match(self.marks[number], sight.box, features)


def _is_part(box: Box, other: Box) -> bool:
    """Whether it is the same place, or a detail of the mark that stands there."""
    return box.overlap(other) >= _SAME or box.within(other) >= _DETAIL


def directions_of(networks: Networks, marks: Sequence[Mark]) -> Floats:
    """For each mark the directions of its shape turned a little either way, N × turns × width."""
    found = [np.zeros((0, len(_TURNS), networks.ground.shape[1]), np.float32)]
    for first in range(0, len(marks), _AT_ONCE):
        some = marks[first : first + _AT_ONCE]
        views = np.stack([_turned(mark.shape, angle) for mark in some for angle in _TURNS])
        found.append(networks.shapes(views).reshape(len(some), len(_TURNS), -1))
    return np.concatenate(found)


def ground_levels(networks: Networks, directions: Floats) -> Floats:
    """For each mark how near to it the nearest of what is seen where no mark is come."""
    nearest = [np.quantile((each @ networks.ground.T).max(axis=0), _GROUND_QUANTILE) for each in directions]
    return np.array(nearest, np.float32)


def _turned(shape: Floats, angle: float) -> Floats:
    if not angle:
        return shape
    image = Image.fromarray(np.round(shape * 255).astype(np.uint8))
    return np.asarray(image.rotate(angle, Image.Resampling.BILINEAR), np.float32) / 255.0
