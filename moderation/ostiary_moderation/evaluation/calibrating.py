"""Fits a bundle's calibration to answers beside the truth. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ostiary_moderation.bundle import Calibration, Manifest
from ostiary_moderation.evaluation.examine import Answered
from ostiary_moderation.evaluation.metrics import calibrate

LEAST = 20  # examples of either kind, below which a fit says more of chance than of the model


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
