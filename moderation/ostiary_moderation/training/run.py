"""One training run, from photographs to a bundle folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import PreTrainedTokenizerFast

from ostiary_moderation.bundle import Manifest
from ostiary_moderation.engines.qwen3_vl.processor import ImageOnlyProcessor
from ostiary_moderation.training import library
from ostiary_moderation.training.architecture import build_config, build_image_processor, build_model
from ostiary_moderation.training.assess import calibrate_questions, measure, open_examiner
from ostiary_moderation.training.curriculum import Curriculum
from ostiary_moderation.training.export import write_figures, write_manifest, write_model
from ostiary_moderation.training.feed import feeding
from ostiary_moderation.training.lettering import chinese_fonts
from ostiary_moderation.training.photos import Split, read_photos, split_by_sender
from ostiary_moderation.training.tokenizer import build_tokenizer
from ostiary_moderation.training.trainer import Progress, Trainer

BATCH = 16
Report = Callable[[str], None]


@dataclass(frozen=True)
class TrainingRun:
    """What a run is made of. `minutes`: wall-clock time of the training itself, over all resumptions."""

    photos: Path
    out: Path
    minutes: float
    seed: int = 0
    threads: int = 1

    @property
    def workspace(self) -> Path:
        """Where the checkpoint lies: beside the bundle, never in it."""
        return self.out.with_name(self.out.name + ".training")

    @property
    def command(self) -> str:
        """The command that makes this run."""
        options = f"--minutes {self.minutes:g} --seed {self.seed} --threads {self.threads}"
        return f"ostiary model train --photos PHOTOS --out {self.out.name} {options}"


def make_bundle(run: TrainingRun, report: Report) -> None:
    """Trains, or resumes, until the minutes are spent; then writes, calibrates and measures the bundle.

    Raises ValueError in words for photographs that cannot be used, and for missing fonts.
    """
    torch.set_num_threads(run.threads)
    chinese_fonts()  # missing ones are told now, not by the process that draws
    split = split_by_sender(read_photos(run.photos))
    manifest = Manifest.model_validate(library.manifest("0" * 64, {}))
    tokenizer = build_tokenizer(manifest, run.seed)
    trainer = _train(run, split, tokenizer, manifest, report)
    write_model(run.out, trainer.model, tokenizer)
    write_manifest(run.out, {})
    _assess(run, split, trainer, report)


def _train(
    run: TrainingRun, split: Split, tokenizer: PreTrainedTokenizerFast, manifest: Manifest, report: Report
) -> Trainer:
    run.workspace.mkdir(parents=True, exist_ok=True)
    image_processor = build_image_processor(manifest.pixels.min_pixels, manifest.pixels.max_pixels)
    processor = ImageOnlyProcessor(image_processor, tokenizer, manifest.pixels)
    curriculum = Curriculum(manifest, processor, run.seed)
    model = build_model(build_config(tokenizer), run.seed)
    trainer = Trainer(model, curriculum, run.workspace / "checkpoint.pt", run.minutes * 60.0)
    trainer.resume()
    if trainer.progress.seconds < run.minutes * 60.0:
        with feeding(run.seed, trainer.progress.step, split.train, BATCH) as batches:
            trainer.run(batches, lambda progress: _say(progress, report))
    return trainer


def _assess(run: TrainingRun, split: Split, trainer: Trainer, report: Report) -> None:
    examiner = open_examiner(run.out)
    calibrations = calibrate_questions(examiner, split, run.seed, _counter("calibrating", report))
    figures = measure(examiner, split, calibrations, run.seed, _counter("measuring", report))
    facts = {
        "version": library.VERSION,
        "command": run.command,
        "threads": run.threads,
        "minutes": round(trainer.progress.seconds / 60.0, 1),
        "steps": trainer.progress.step,
        "examples": trainer.progress.step * BATCH,
        "parameters": sum(parameter.numel() for parameter in trainer.model.parameters()),
    }
    write_manifest(run.out, calibrations)
    write_figures(run.out, {**facts, **figures})


def _say(progress: Progress, report: Report) -> None:
    if progress.step % 20 == 0:
        report(f"{progress.seconds / 60:6.1f} min  batch {progress.step:5d}  loss {progress.loss:.3f}")


def _counter(what: str, report: Report) -> Callable[[int], None]:
    def count(done: int) -> None:
        if done % 200 == 0:
            report(f"{what}: {done} looks")

    return count
