"""Fits what a match is worth, on brands and photographs that the networks did not learn from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ostiary_moderation.evaluation.photos import open_upright
from ostiary_moderation.figurative.marks import Mark
from ostiary_moderation.figurative.matching import (
    FEATURES,
    Match,
    Matcher,
    Score,
    directions_of,
    ground_levels,
)
from ostiary_moderation.figurative.networks import Networks
from ostiary_moderation.figurative.sight import Sight, look
from ostiary_moderation.figurative.view import Floats
from ostiary_moderation.training.marks.icons import Icons
from ostiary_moderation.training.marks.shapes import Distortion
from ostiary_moderation.training.marks.trials import Trial, trial

RIGHT = 0.4
"""Overlap of boxes from which on a mark counts as found."""
GROUND, GROUND_PHOTOS = 1_000, 130
_REFUSED = 0.01
_RIDGE = 1.0
Report = Callable[[str], None]


@dataclass(frozen=True)
class Looked:
    """A trial without its pixels, and what was seen in it."""

    trial: Trial
    sights: tuple[Sight, ...]


@dataclass(frozen=True)
class Judged:
    """What a gallery makes of an image: each match with whether it is right. `icon`: the registered mark in
    the image, -1 where there is none.
    """

    trial: Trial
    icon: int
    matches: tuple[tuple[Match, bool], ...]


def marks_of(icons: Icons, numbers: Sequence[int]) -> list[Mark]:
    """Icons as registered marks; each of a brand of its own, named by its number."""
    views = Distortion(icons.inks[np.array(numbers, np.int64)]).plain(np.arange(len(numbers))).numpy()
    return [
        Mark(str(number), str(icons.names[number]), shape)
        for number, shape in zip(numbers, views, strict=True)
    ]


def look_at(networks: Networks, trials: Iterator[Trial], report: Report) -> list[Looked]:
    """See what there is to see in each."""
    looked = []
    for each in trials:
        looked.append(Looked(_without_pixels(each), tuple(look(networks, each.pixels))))
        if len(looked) % 100 == 0:
            report(f"{len(looked)} images looked at")
    return looked


def trials_of(
    icons: Icons, numbers: Sequence[int], files: Sequence[Path], clean: int, seed: int
) -> Iterator[Trial]:
    """One image for each of the icons, and then `clean` without any; each on the next photograph."""
    order = np.random.default_rng(seed).permutation(len(files))
    for count, icon in enumerate([*numbers, *[-1] * clean]):
        rng = np.random.default_rng([seed, count])
        yield trial(rng, icons, int(icon), files[order[count % len(files)]])


def judge(matcher: Matcher, looked: Sequence[Looked]) -> list[Judged]:
    """Compare what was seen with a gallery."""
    registered = {int(mark.brand) for mark in matcher.marks}
    return [_judged(matcher, each, registered) for each in looked]


def fit(judged: Sequence[Judged]) -> dict[str, Any]:
    """The score's parameters: ridge regression of whether a match is right, by the logistic function."""
    pairs = [pair for each in judged for pair in each.matches]
    features = np.array([match.features for match, _ in pairs])
    right = np.array([right for _, right in pairs], np.float64)
    mean, scale = features.mean(axis=0), features.std(axis=0) + 1e-6
    columns = np.column_stack([(features - mean) / scale, np.ones(len(features))])
    weights = _logistic(columns, right)
    return {
        "features": list(FEATURES),
        "mean": [round(float(one), 5) for one in mean],
        "scale": [round(float(one), 5) for one in scale],
        "weights": [round(float(one), 5) for one in weights[:-1]],
        "bias": round(float(weights[-1]), 5),
    }


def ground_bank(networks: Networks, files: Sequence[Path], seed: int, report: Report) -> Floats:
    """Directions of what is seen on photographs on which nothing was laid."""
    rng = np.random.default_rng(seed)
    found: list[Floats] = []
    for count, number in enumerate(rng.permutation(len(files))[:GROUND_PHOTOS]):
        found += [sight.direction for sight in look(networks, open_upright(files[number]))]
        if count % 50 == 49:
            report(f"ground: {count + 1} photographs")
    chosen = rng.permutation(len(found))[:GROUND]
    return np.stack(found)[chosen]


def ground_limit(networks: Networks, marks: Sequence[Mark]) -> float:
    """The level from which on a mark is refused: one of a hundred brands' marks is."""
    levels = ground_levels(networks, directions_of(networks, marks))
    return round(float(np.quantile(levels, 1 - _REFUSED)), 4)


def surest(each: Judged, score: Score) -> list[tuple[float, bool]]:
    """What is told of an image: score and whether it is right, each place once."""
    told: list[tuple[float, bool, Match]] = []
    for match, right in sorted(each.matches, key=lambda pair: -score(pair[0].features)):
        if all(match.box.overlap(other.box) < 0.3 for *_, other in told):
            told.append((score(match.features), right, match))
    return [(value, right) for value, right, _ in told]


def threshold(told: Sequence[tuple[float, bool]], precision: float) -> float:
    """The lowest score from which on, at every higher one too, that share is right."""
    best, right = 1.0, 0
    for count, (score, is_right) in enumerate(sorted(told, key=lambda one: -one[0]), 1):
        right += is_right
        if right / count >= precision:
            best = score
    return best


def _judged(matcher: Matcher, looked: Looked, registered: set[int]) -> Judged:
    trial, box = looked.trial, looked.trial.box
    matches = [
        (match, int(match.mark.brand) == trial.icon and box is not None and match.box.overlap(box) > RIGHT)
        for match in matcher.compare(looked.sights)
    ]
    return Judged(trial, trial.icon if trial.icon in registered else -1, tuple(matches))


def _logistic(columns: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    """By Newton's method."""
    weights = np.zeros(columns.shape[1])
    for _ in range(30):
        p = 1 / (1 + np.exp(-np.clip(columns @ weights, -30, 30)))
        slope = columns.T @ (right - p) - _RIDGE * weights
        curve = (columns * (p * (1 - p))[:, None]).T @ columns + _RIDGE * np.eye(len(weights))
        weights += np.linalg.solve(curve, slope)
    return weights


def _without_pixels(trial: Trial) -> Trial:
    return replace(trial, pixels=np.zeros((0, 0, 3), np.uint8))
