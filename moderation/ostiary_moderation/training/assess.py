"""After training: calibrates on one group of held-out senders and measures on the other."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ostiary_moderation.bundle import Bundle, Calibration
from ostiary_moderation.engines.qwen3_vl.loading import load_model, load_processor
from ostiary_moderation.engines.qwen3_vl.questions import QuestionBook
from ostiary_moderation.engines.qwen3_vl.runner import Runner
from ostiary_moderation.evaluation.held_out import Examiner, Results
from ostiary_moderation.evaluation.metrics import area_under_curve, calibrate
from ostiary_moderation.training.photos import Photo, Split

PREVALENCE = 0.1  # share of positives that calibrated probabilities are meant for
TARGET = 0.97
LEAST_SCENES = 16  # so that few photographs still show every kind of overlay


def open_examiner(folder: Path) -> Examiner:
    """An examiner of the bundle as it was written: weights rounded to bfloat16, stock loading, real
    processor.
    """
    bundle = Bundle.load(folder)
    processor = load_processor(bundle)
    return Examiner(QuestionBook(bundle.manifest, processor), processor, Runner(load_model(bundle)))


def calibrate_questions(
    examiner: Examiner, split: Split, seed: int, report: Callable[[int], None]
) -> dict[str, Calibration]:
    """Calibration by question id, from the calibration senders: three scenes a photograph, and it as it
    is.
    """
    results = examiner.examine(split.calibration, _scenes_each(split.calibration, 3), seed, report)
    return {name: calibrate(*results.arrays(name), PREVALENCE) for name in results.margins}


def measure(
    examiner: Examiner,
    split: Split,
    calibrations: Mapping[str, Calibration],
    seed: int,
    report: Callable[[int], None],
) -> dict[str, Any]:
    """Figures on the test senders: one scene a photograph, and it as it is."""
    scenes_each = _scenes_each(split.test, 1)
    results = examiner.examine(split.test, scenes_each, seed + 1, report)
    return {
        "questions": {name: _question(results, name, calibrations[name]) for name in results.margins},
        "attributes": {name: _accuracy(pairs) for name, pairs in results.attributes.items()},
        "prevalence": PREVALENCE,
        "train_photos": len(split.train),
        "calibration_photos": len(split.calibration),
        "test_photos": len(split.test),
        "test_senders": len({photo.sender for photo in split.test}),
        "test_scenes": len(split.test) * scenes_each,
    }


def _scenes_each(photos: Sequence[Photo], usual: int) -> int:
    return max(usual, math.ceil(LEAST_SCENES / len(photos)))


def _question(results: Results, name: str, calibration: Calibration) -> dict[str, Any]:
    margins, truth = np.array(results.margins[name]), np.array(results.truth[name], dtype=np.bool_)
    clean = np.array(results.clean[name])
    against_clean = np.concatenate([margins[truth], clean])
    return {
        "auc": round(area_under_curve(margins, truth), 4),
        "auc_clean": round(area_under_curve(against_clean, np.arange(len(against_clean)) < truth.sum()), 4),
        "test_at_0.97": _at_target(margins, truth, clean, calibration),
    }


def _at_target(
    margins: np.ndarray, truth: np.ndarray, clean: np.ndarray, calibration: Calibration
) -> dict[str, float] | None:
    threshold = calibration.threshold(TARGET)
    if threshold is None:
        return None
    fires = np.array([calibration.probability(margin) >= threshold for margin in margins])
    fires_clean = np.array([calibration.probability(margin) >= threshold for margin in clean])
    return {
        "threshold": threshold,
        "recall": round(float(fires[truth].mean()), 4),
        "false_positive_rate": round(float(fires[~truth].mean()), 4),
        "clean_rate": round(float(fires_clean.mean()), 4),
    }


def _accuracy(pairs: list[tuple[str, str]]) -> dict[str, float]:
    commonest = Counter(true for _, true in pairs).most_common(1)[0][1]
    right = sum(said == true for said, true in pairs)
    return {"accuracy": round(right / len(pairs), 4), "commonest": round(commonest / len(pairs), 4)}
