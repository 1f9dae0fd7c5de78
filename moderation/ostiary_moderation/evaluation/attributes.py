"""How often a bundle names attributes right, and what it takes to be worth anything: the floors. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ostiary_moderation.bundle import UNKNOWN
from ostiary_moderation.evaluation.examine import Answered
from ostiary_moderation.evaluation.intervals import Figure, wilson
from ostiary_moderation.evaluation.metrics import calibration_error

OTHER = "other"


@dataclass(frozen=True)
class AttributeFigures:
    """Figures of one attribute over the examples whose truth is known.

    `top1`: the served value is the truth. `top3`: the truth is among the three likeliest values, of which
    `unknown` is none. `recall`: of each true value. `commonest`: the truth's commonest value, and how often
    it holds: what answering nothing else would get. `ece`: expected calibration error of the confidence in
    the served value. `probe`: what a linear probe on colour histograms gets; None where none was fitted.
    """

    top1: Figure
    top3: Figure
    recall: Mapping[str, Figure]
    commonest: tuple[str, Figure]
    ece: float
    probe: Figure | None = None

    def to_json(self) -> dict[str, object]:
        """Plain values."""
        return {
            "top1": self.top1.to_json(),
            "top3": self.top3.to_json(),
            "recall": {value: figure.to_json() for value, figure in self.recall.items()},
            "ece": round(self.ece, 4),
            "floor_commonest": {"answer": self.commonest[0], **self.commonest[1].to_json()},
            "floor_linear_probe": self.probe and self.probe.to_json(),
        }


def judge_attributes(
    options: Mapping[str, Sequence[str]], answers: Sequence[Answered], probes: Mapping[str, Figure]
) -> dict[str, AttributeFigures]:
    """Figures of each attribute that the bundle can see and that some example's truth is known of.

    `options`: the bundle's values by attribute. A truth that is none of them counts as `other` if it can.
    """
    found = {}
    for name, values in options.items():
        rows = [
            _row(answer, name, values)
            for answer in answers
            if len(values) > 1 and name in answer.example.attributes
        ]
        if rows:
            found[name] = _figures(rows, probes.get(name))
    return found


def expressed(truth: str | None, values: Sequence[str]) -> str | None:
    """A truth in the words of a bundle: as it is, or as `other`; None where the bundle has neither."""
    if truth is None or truth in values:
        return truth
    return OTHER if OTHER in values else None


@dataclass(frozen=True)
class _Row:
    truth: str
    said: str
    confidence: float
    likeliest: Sequence[str]


def _row(answer: Answered, name: str, values: Sequence[str]) -> _Row:
    value = next(value for value in answer.look.attributes if value.name == name)
    truth = answer.example.attributes[name]
    named = [option for option, _ in value.ranking if option != UNKNOWN]
    return _Row(expressed(truth, values) or truth, value.value, value.confidence, named[:3])


def _figures(rows: Sequence[_Row], probe: Figure | None) -> AttributeFigures:
    often = Counter(row.truth for row in rows)
    right = Counter(row.truth for row in rows if row.said == row.truth)
    commonest, count = often.most_common(1)[0]
    said = np.array([row.confidence for row in rows])
    held = np.array([row.said == row.truth for row in rows])
    return AttributeFigures(
        top1=wilson(right.total(), len(rows)),
        top3=wilson(sum(row.truth in row.likeliest for row in rows), len(rows)),
        recall={value: wilson(right[value], often[value]) for value in sorted(often)},
        commonest=(commonest, wilson(count, len(rows))),
        ece=calibration_error(said, held, np.ones(len(rows))),
        probe=probe,
    )
