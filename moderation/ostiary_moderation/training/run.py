"""One training run, from photographs to a bundle folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from transformers import PreTrainedTokenizerFast

from ostiary_moderation.bundle import Manifest
from ostiary_moderation.engines.qwen3_vl.processor import ImageOnlyProcessor
from ostiary_moderation.training import library, optimise
from ostiary_moderation.training.architecture import (
    build_config,
    build_image_processor,
    build_model,
)
from ostiary_moderation.training.assess import PREVALENCE, calibrate, measure
from ostiary_moderation.training.curriculum import Curriculum
from ostiary_moderation.training.export import write_figures, write_manifest, write_model
from ostiary_moderation.training.feed import Batch, Showing, feeding
from ostiary_moderation.training.gallery import Gallery
from ostiary_moderation.training.heads import VisionHeads
from ostiary_moderation.training.lessons import (
    LearnToAnswer,
    LearnToRead,
    LearnToSee,
    TeachGarments,
    TeachOverlays,
)
from ostiary_moderation.training.lettering import chinese_fonts
from ostiary_moderation.training.photos import Photo, Split, read_photos, split_by_sender
from ostiary_moderation.training.student import Student
from ostiary_moderation.training.teacher import GarmentTeacher, OverlayTeacher
from ostiary_moderation.training.tokenizer import build_tokenizer
from ostiary_moderation.training.trainer import Part, Progress, Trainer

PHOTOGRAPHS, SCENES = 48, 16  # examples in a batch
# Until which share of the time. An untaught text tower's gradients would undo what the vision tower has
# learnt: it first learns to read frozen features. The last part shows scenes in the size that serving sees,
# which takes twice as long a batch; what was learnt from small ones is soon seen in it (arXiv:1906.06423).
OVERLAYS, TAUGHT, SEEN, FOCUSED, READ, ANSWERED = 0.05, 0.24, 0.5, 0.53, 0.56, 0.74
Report = Callable[[str], None]


@dataclass(frozen=True)
class TrainingRun:
    """What a run is made of. `minutes`: wall-clock time of the training itself, over all resumptions."""

    photos: Path
    colours: Path
    out: Path
    minutes: float
    seed: int = 0
    threads: int = 2

    @property
    def workspace(self) -> Path:
        """Where the checkpoint lies: beside the bundle, never in it."""
        return self.out.with_name(self.out.name + ".training")

    @property
    def command(self) -> str:
        """The command that makes this run."""
        options = f"--minutes {self.minutes:g} --seed {self.seed} --threads {self.threads}"
        return f"ostiary model train --photos PHOTOS --colours COLOURS --out {self.out.name} {options}"


def make_bundle(run: TrainingRun, report: Report) -> None:
    """Trains, or resumes, until the minutes are spent; then writes, calibrates and measures the bundle.

    Raises ValueError in words for photographs that cannot be used, and for missing fonts.
    """
    torch.set_num_threads(run.threads)
    chinese_fonts()  # missing ones are told now, not by the process that draws
    split = split_by_sender(read_photos(run.photos, run.colours))
    manifest = Manifest.model_validate(library.manifest("0" * 64, {}))
    tokenizer = build_tokenizer(manifest, run.seed)
    student, progress = _train(run, split, tokenizer, manifest, report)
    write_model(run.out, student.model, tokenizer)
    write_manifest(run.out, {})
    _assess(run, split, student, progress, report)


def _train(
    run: TrainingRun,
    split: Split[Photo],
    tokenizer: PreTrainedTokenizerFast,
    manifest: Manifest,
    report: Report,
) -> tuple[Student, Progress]:
    run.workspace.mkdir(parents=True, exist_ok=True)
    image_processor = build_image_processor(manifest.pixels.min_pixels, manifest.pixels.max_pixels)
    processor = ImageOnlyProcessor(image_processor, tokenizer)
    curriculum = Curriculum(manifest, processor, run.seed)
    student = Student(build_model(build_config(tokenizer), run.seed), curriculum.verdict_tokens)
    garments, overlays = GarmentTeacher(), OverlayTeacher()
    heads = VisionHeads(student.model.model.visual.config.out_hidden_size, garments.width, overlays.width)
    pupils = nn.ModuleDict(
        {"student": student.model, "garments": garments, "overlays": overlays, "heads": heads}
    )

    def feed(showing: Showing, start: int) -> AbstractContextManager[Iterator[Batch]]:
        size = PHOTOGRAPHS if showing == "close-ups" else SCENES
        return feeding(run.seed, start, split.train, size, showing)

    gallery = Gallery(split.train, report)
    course = _course(student, garments, overlays, heads, gallery, curriculum)
    budget = run.minutes * 60.0
    trainer = Trainer(course, pupils, feed, run.workspace / "checkpoint.pt", budget, run.seed)
    trainer.resume()
    trainer.run(lambda progress: _say(progress, report))
    return student, trainer.progress


def _course(
    student: Student,
    garments: GarmentTeacher,
    overlays: OverlayTeacher,
    heads: VisionHeads,
    gallery: Gallery,
    curriculum: Curriculum,
) -> list[Part]:
    transformer = optimise.for_transformer(student.towers, heads, TAUGHT, 1.0)

    def answer(scenes: Showing, curriculum: Curriculum | None) -> LearnToAnswer:
        return LearnToAnswer(scenes, student, heads, garments, overlays, curriculum)

    return [
        Part(
            "overlays",
            OVERLAYS,
            TeachOverlays(overlays),
            optimise.for_convolutions(overlays, 0.0, OVERLAYS),
        ),
        Part(
            "garments",
            TAUGHT,
            TeachGarments(garments, gallery, 64),
            optimise.for_convolutions(garments, OVERLAYS, TAUGHT),
        ),
        Part(
            "sight", SEEN, LearnToSee(student, heads, garments, overlays, gallery, PHOTOGRAPHS), transformer
        ),
        Part("scenes", FOCUSED, answer("small", None), transformer),
        Part("reading", READ, LearnToRead(student, curriculum), transformer),
        Part("answers", ANSWERED, answer("small", curriculum), transformer),
        Part("closer", 1.0, answer("whole", curriculum), transformer),
    ]


def _assess(
    run: TrainingRun, split: Split[Photo], student: Student, progress: Progress, report: Report
) -> None:
    fitted = calibrate(run.out, split.calibration, run.seed, run.threads, _counter("calibrating", report))
    write_manifest(run.out, fitted.questions, fitted.attributes)
    count = _counter("measuring", report)
    figures = measure(run.out, split.train, split.test, run.seed, run.threads, count)
    facts = {
        "version": library.VERSION,
        "command": run.command,
        "threads": run.threads,
        "minutes": round(progress.seconds / 60.0, 1),
        "steps": progress.step,
        "examples": progress.examples,
        "parameters": sum(parameter.numel() for parameter in student.model.parameters()),
        "prevalence": PREVALENCE,
        "train_photos": len(split.train),
        "calibration_photos": len(split.calibration),
        "held_out_senders": sorted({photo.sender for photo in split.test}),
    }
    write_figures(run.out, {**facts, **figures.to_json()})


def _say(progress: Progress, report: Report) -> None:
    if progress.step % 20 == 0:
        minutes, part = progress.seconds / 60, progress.part
        report(f"{minutes:6.1f} min  {part:8s} batch {progress.step:5d}  loss {progress.loss:.3f}")


def _counter(what: str, report: Report) -> Callable[[int], None]:
    def count(done: int) -> None:
        if done % 200 == 0:
            report(f"{what}: {done} looks")

    return count
