"""Answers made up for counting: what an engine would have said of examples whose truth is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ostiary_moderation.bundle import Manifest
from ostiary_moderation.engine import AttributeValue, Look, QuestionScore
from ostiary_moderation.evaluation.examine import Answered
from ostiary_moderation.evaluation.examples import Example

VALUES = ("dress", "hat", "shoes", "unknown")


def manifest(prevalence: float = 0.1) -> Manifest:
    """Two drawn questions of one policy, calibrated for a prevalence."""
    question = {"policy": "prohibited_ads", "text": {"general": {"en": "Is it there?"}}}
    calibration = {"slope": 1.0, "intercept": 0.0, "prevalence": prevalence}
    unseen = ("colour", "pattern", "style", "material", "audience", "scene", "styling")
    return Manifest.model_validate(
        {
            "name": "made-up",
            "version": "1",
            "engine": "qwen3-vl",
            "dtype": "float32",
            "weights_digest": "0" * 64,
            "capabilities": ["prohibited_ads"],
            "questions": [
                {**question, "id": name, "label": name, "calibration": calibration}
                for name in ("qr_code", "contact_details")
            ],
            "attributes": {"category": VALUES, **dict.fromkeys(unseen, ("unknown",))},
            "prompts": {"system": {"en": "Look."}, "describe": {"en": "Describe."}, "attribute": {"en": "?"}},
            "pixels": {"min_pixels": 1024, "max_pixels": 4096},
        }
    )


def scored(
    group: str, probabilities: Mapping[str, float], flags: Mapping[str, bool], untouched: bool = False
) -> Answered:
    """An example with a probability for each question; margins are their logits."""
    scores = tuple(
        QuestionScore("prohibited_ads", name, name, 0, p, float(np.log(p / (1 - p))))
        for name, p in probabilities.items()
    )
    return Answered(_example(group, untouched, flags), Look(scores, (), None, "en", {}))


def named(truth: str, ranking: Sequence[str], said: str | None = None) -> Answered:
    """An untouched example of a category, and the values that the model holds likeliest."""
    shares = tuple((value, 1 / (rank + 2)) for rank, value in enumerate(ranking))
    value = AttributeValue("category", said or ranking[0], 0.5, shares)
    example = Example(truth, True, {}, _nothing, {"category": truth})
    return Answered(example, Look((), (value,), None, "en", {}))


def _example(group: str, untouched: bool, flags: Mapping[str, bool]) -> Example:
    return Example(group, untouched, flags, _nothing)


def _nothing() -> np.ndarray:
    return np.zeros((8, 8, 3), np.uint8)
