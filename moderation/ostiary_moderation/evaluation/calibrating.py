"""Fits a bundle's calibration to answers beside the truth. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ostiary_moderation.bundle import NEUTRAL, Calibration, Manifest, ValueCalibration
from ostiary_moderation.evaluation.attributes import expressed
from ostiary_moderation.evaluation.examine import Answered
from ostiary_moderation.evaluation.metrics import calibrate, fit_values

LEAST = 20  # examples of either kind, below which a fit says more of chance than of the model
LEAST_VALUES = 100  # examples of an attribute, likewise


def fit_calibrations(
    manifest: Manifest, answers: Sequence[Answered], prevalences: Mapping[str, float]
) -> dict[str, Calibration]:
    """A calibration for each question that at least LEAST examples of yes and of no are known of.

    `prevalences`: by question id, the share of positives that the probabilities are meant for.
    """
    found = {}
    for question in manifest.questions:
        pairs = [
            (score.margin, answer.example.flags[question.label])
            for answer in answers
            if question.label in answer.example.flags
            for score in answer.look.scores
            if score.question == question.id
        ]
        margins = np.array([margin for margin, _ in pairs], dtype=np.float64)
        truth = np.array([flag for _, flag in pairs], dtype=np.bool_)
        if min(truth.sum(), (~truth).sum()) >= LEAST:
            found[question.id] = calibrate(margins, truth, prevalences[question.id])
    return found


def fit_attributes(manifest: Manifest, answers: Sequence[Answered]) -> dict[str, ValueCalibration]:
    """A calibration for each attribute whose truth is known of at least LEAST_VALUES examples."""
    found = {}
    for name, values in manifest.attributes.items():
        before = manifest.attribute_calibration.get(name, NEUTRAL)
        pairs = [
            (dict(seen.ranking), truth)
            for answer in answers
            if (truth := expressed(answer.example.attributes.get(name), values)) is not None
            for seen in answer.look.attributes
            if seen.name == name and seen.ranking
        ]
        if len(pairs) < LEAST_VALUES:
            continue
        logits = [before.logits(values, np.array([shares[value] for value in values])) for shares, _ in pairs]
        slope, biases = fit_values(np.stack(logits), np.array([values.index(truth) for _, truth in pairs]))
        rounded = {value: round(float(bias), 4) for value, bias in zip(values, biases, strict=True)}
        found[name] = ValueCalibration(slope=round(slope, 6), biases=rounded)
    return found
