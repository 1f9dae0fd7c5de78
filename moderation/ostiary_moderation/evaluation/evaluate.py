"""One evaluation: a loaded engine, labelled photographs, and what is drawn over them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from ostiary_moderation.bundle import Bundle
from ostiary_moderation.engine import Engine
from ostiary_moderation.evaluation.attributes import judge_attributes
from ostiary_moderation.evaluation.examine import Progress, examine
from ostiary_moderation.evaluation.examples import judged_labels, make_examples
from ostiary_moderation.evaluation.overlays import Overlays
from ostiary_moderation.evaluation.photos import LabelledPhoto
from ostiary_moderation.evaluation.policies import judge_policies
from ostiary_moderation.evaluation.probe import probe
from ostiary_moderation.evaluation.report import Report


@dataclass(frozen=True)
class Plan:
    """How to evaluate. `held_out`: the photographs are of senders that the bundle never learnt from.

    `probe_photos`: what the linear probe is fitted on; senders that are evaluated are left out of it.
    """

    seed: int = 0
    concurrency: int = 16
    held_out: bool = False
    probe_photos: Sequence[LabelledPhoto] = ()


async def evaluate(
    engine: Engine,
    bundle: Bundle,
    photos: Sequence[LabelledPhoto],
    overlays: Overlays,
    plan: Plan = Plan(),
    progress: Progress = lambda _: None,
) -> Report:
    """Looks at every photograph three times through the engine, as a pod would, and counts what was right.

    Raises ValueError for no photographs.
    """
    if not photos:
        raise ValueError("no photographs to evaluate on")
    manifest = bundle.manifest
    labels = judged_labels(manifest, overlays)
    started = time.monotonic()
    examples = make_examples(photos, labels, overlays, plan.seed)
    answers = await examine(engine, examples, plan.concurrency, progress)
    seconds = time.monotonic() - started
    senders = {photo.sender for photo in photos}
    others = [photo for photo in plan.probe_photos if photo.sender not in senders]
    probes = {name: figure for name in manifest.attributes if (figure := probe(others, photos, name))}
    asked = dict.fromkeys(f"{question.policy}/{question.label}" for question in manifest.questions)
    return Report(
        bundle={
            "name": manifest.name,
            "version": manifest.version,
            "digest": bundle.digest.hex(),
            "weights_digest": bundle.weights_digest.hex(),
        },
        photos=len(photos),
        senders=len(senders),
        held_out=plan.held_out,
        seed=plan.seed,
        looks=len(answers),
        seconds=seconds,
        attributes=judge_attributes(manifest.attributes, answers, probes),
        policies=judge_policies(manifest, answers, labels, plan.seed),
        not_measured=[name for name in asked if name.partition("/")[2] not in labels],
    )
