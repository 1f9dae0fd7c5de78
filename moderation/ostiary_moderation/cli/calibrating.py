"""`ostiary model calibrate`: from raw scores to probabilities."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ostiary_moderation.cli.shared import (
    LIMIT,
    PHOTOS,
    SENDERS,
    THREADS,
    Senders,
    choose_photos,
    counter,
    fail,
    load,
    overlays,
    with_engine,
)

if TYPE_CHECKING:
    from ostiary_moderation.bundle import Bundle, Calibration, ValueCalibration
    from ostiary_moderation.evaluation import LabelledPhoto
    from ostiary_moderation.evaluation.examples import Example


def calibrate(
    bundle: Annotated[str, typer.Argument(help="A bundle folder.")],
    photos: Annotated[Path | None, typer.Option(help=PHOTOS)] = None,
    answers: Annotated[
        Path | None,
        typer.Option(help="Instead of --photos: CSV of file, question and label (yes or no)."),
    ] = None,
    colours: Annotated[
        Path | None,
        typer.Option(help="With --photos: CSV of file, colour and pattern, which adds labels."),
    ] = None,
    senders: Annotated[
        Senders,
        typer.Option(help=SENDERS),
    ] = Senders.ALL,
    prevalence: Annotated[
        float, typer.Option(min=0.001, max=0.999, help="Share of positives that probabilities are meant for.")
    ] = 0.1,
    limit: Annotated[int, typer.Option(min=0, help=LIMIT)] = 0,
    rounds: Annotated[
        int, typer.Option(min=1, help="How often something is drawn over each photograph.")
    ] = 2,
    seed: Annotated[int, typer.Option(help="Seed of what is drawn; another than eval's.")] = 1,
    threads: Annotated[int, typer.Option(min=1, help=THREADS)] = 1,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print, and write nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Fit a bundle's calibration and its precision-to-threshold table, and write them into bundle.yaml.

    Questions with fewer than 20 examples of yes or of no keep what they have, and so do attributes that fewer
    than 100 photographs are labelled with. Use photographs that the model has not learnt from. The old
    manifest is kept beside the folder. The bundle's digest changes: roll it out as a new version.
    """
    from ostiary_moderation.evaluation.calibrating import fit_attributes, fit_calibrations
    from ostiary_moderation.evaluation.examine import examine

    if (photos is None) == (answers is None):
        fail("give either --photos or --answers")
    loaded = load(bundle)
    try:
        if photos is not None:
            examples = _drawn(loaded, choose_photos(photos, colours, loaded, senders, limit), rounds, seed)
        else:
            examples = _given(loaded, answers)
    except ValueError as error:
        fail(error)
    count = counter(len(examples))
    answered = with_engine(loaded, threads, lambda engine: examine(engine, examples, progress=count))
    wanted = {question.id: prevalence for question in loaded.manifest.questions}
    fitted = fit_calibrations(loaded.manifest, answered, wanted)
    attributes = fit_attributes(loaded.manifest, answered)
    if not (fitted or attributes):
        fail(
            "no question has 20 examples of yes and 20 of no, and no attribute 100 labelled photographs: "
            "give more"
        )
    after = None if dry_run else _write(loaded, fitted, attributes)
    _tell(loaded, fitted, attributes, after, as_json)


def _drawn(bundle: Bundle, photos: Sequence[LabelledPhoto], rounds: int, seed: int) -> Sequence[Example]:
    """Overlays drawn over photographs. Raises ValueError in words."""
    from ostiary_moderation.evaluation.examples import judged_labels, make_examples

    rendered = overlays()
    labels = judged_labels(bundle.manifest, rendered)
    if not labels:
        raise ValueError(f"nothing that {bundle.manifest.name} asks can be drawn: give --answers")
    turns = range(seed, seed + rounds)
    return [example for turn in turns for example in make_examples(photos, labels, rendered, turn)]


def _given(bundle: Bundle, answers: Path | None) -> Sequence[Example]:
    from ostiary_moderation.evaluation.examples import read_answers

    return read_answers(answers, bundle.manifest) if answers else []


def _write(
    bundle: Bundle, fitted: Mapping[str, Calibration], attributes: Mapping[str, ValueCalibration]
) -> Bundle:
    from ostiary_moderation.bundle import BundleError
    from ostiary_moderation.bundle.rewriting import backup_path, rewrite_manifest

    def change(data: dict[str, Any]) -> None:
        for question in data["questions"]:
            if question["id"] in fitted:
                question["calibration"] = fitted[question["id"]].model_dump(mode="json")
        for name, calibration in attributes.items():
            data.setdefault("attribute_calibration", {})[name] = calibration.model_dump(mode="json")

    try:
        return rewrite_manifest(bundle, change, backup_path(bundle))
    except (BundleError, OSError) as error:
        fail(error)


def _tell(
    before: Bundle,
    fitted: Mapping[str, Calibration],
    attributes: Mapping[str, ValueCalibration],
    after: Bundle | None,
    as_json: bool,
) -> None:
    from ostiary_moderation.bundle.rewriting import backup_path

    left = [question.id for question in before.manifest.questions if question.id not in fitted]
    if as_json:
        facts = {
            "calibrations": {name: fit.model_dump(mode="json") for name, fit in fitted.items()},
            "attributes": {name: fit.model_dump(mode="json") for name, fit in attributes.items()},
            "left_as_they_were": left,
            "digest_before": before.digest.hex(),
            "digest": after.digest.hex() if after else None,
        }
        typer.echo(json.dumps(facts, ensure_ascii=False, indent=2))
        return
    for name, fit in fitted.items():
        rows = ", ".join(f"{p.precision:g} → {p.threshold:.4f} ({p.recall:.0%})" for p in fit.table)
        typer.echo(f"{name}: slope {fit.slope:g}, intercept {fit.intercept:g}, prevalence {fit.prevalence:g}")
        typer.echo(f"  precision → threshold (recall): {rows or 'none is reached'}")
    for name, values in attributes.items():
        biases = ", ".join(f"{value} {bias:+.2f}" for value, bias in values.biases.items())
        typer.echo(f"{name}: slope {values.slope:g}; {biases}")
    if left:
        typer.echo(f"left as they were, for want of examples: {', '.join(left)}")
    if after is None:
        typer.echo("nothing written")
        return
    typer.echo(f"written to {after.folder}; the old manifest is {backup_path(after)}")
    typer.echo(f"digest {before.digest.hex()} → {after.digest.hex()}: answers name the new one")
