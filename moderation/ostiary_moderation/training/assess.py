"""After training: calibrates on one group of held-out senders and measures on the other, as it is served."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ostiary_moderation.bundle import Bundle, Calibration, ValueCalibration
from ostiary_moderation.engines import load_engine
from ostiary_moderation.evaluation import LabelledPhoto, Plan, evaluate
from ostiary_moderation.evaluation.calibrating import fit_attributes, fit_calibrations
from ostiary_moderation.evaluation.examine import Answered, examine
from ostiary_moderation.evaluation.examples import judged_labels, make_examples
from ostiary_moderation.evaluation.rendering import RenderedOverlays
from ostiary_moderation.evaluation.report import Report
from ostiary_moderation.training.gallery import LABELS
from ostiary_moderation.training.photos import Photo

PREVALENCE = 0.1  # share of positives that calibrated probabilities are meant for
ROUNDS = 4  # overlays drawn over each calibration photograph
Count = Callable[[int], None]  # gets how many looks of a round are done


@dataclass(frozen=True)
class Calibrations:
    """Of questions by id, and of attributes by name. Of what too few examples are known there is none."""

    questions: Mapping[str, Calibration]
    attributes: Mapping[str, ValueCalibration]


def calibrate(folder: Path, photos: Sequence[Photo], seed: int, threads: int, count: Count) -> Calibrations:
    """Calibrations of the bundle in `folder`."""

    async def look() -> list[Answered]:
        bundle, overlays = Bundle.load(folder), RenderedOverlays()
        engine = load_engine(bundle, threads)
        try:
            answers: list[Answered] = []
            for turn in range(ROUNDS):
                examples = make_examples(
                    labelled(photos), judged_labels(bundle.manifest, overlays), overlays, seed + 1 + turn
                )
                answers += await examine(engine, examples, progress=count)
            return answers
        finally:
            await engine.close()

    manifest = Bundle.load(folder).manifest
    prevalences = {question.id: PREVALENCE for question in manifest.questions}
    answers = asyncio.run(look())
    return Calibrations(fit_calibrations(manifest, answers, prevalences), fit_attributes(manifest, answers))


def measure(
    folder: Path, train: Sequence[Photo], test: Sequence[Photo], seed: int, threads: int, count: Count
) -> Report:
    """Figures on the test senders. `train` gives the floor: what a linear probe learns from the same."""

    async def look() -> Report:
        bundle = Bundle.load(folder)
        engine = load_engine(bundle, threads)
        plan = Plan(seed=seed, held_out=True, probe_photos=labelled(train))
        try:
            return await evaluate(engine, bundle, labelled(test), RenderedOverlays(), plan, count)
        finally:
            await engine.close()

    return asyncio.run(look())


def labelled(photos: Sequence[Photo]) -> tuple[LabelledPhoto, ...]:
    """The photographs as an evaluation takes them."""
    return tuple(
        LabelledPhoto(
            photo.path,
            f"{photo.path.parent.name}/{photo.path.name}",
            photo.sender,
            {name: getattr(photo, name) for name in LABELS},
        )
        for photo in photos
    )
