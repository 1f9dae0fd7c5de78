"""One training run, from photographs and icons to the folder that the detector loads."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ostiary_moderation.evaluation.photos import LabelledPhoto, read_labelled
from ostiary_moderation.figurative.directions import Directions
from ostiary_moderation.figurative.matching import Matcher, Score
from ostiary_moderation.figurative.networks import Networks
from ostiary_moderation.figurative.places import LONGER
from ostiary_moderation.figurative.view import SIDE, with_contrast
from ostiary_moderation.training.marks import card, fitting, inks, places
from ostiary_moderation.training.marks.closeups import close_up
from ostiary_moderation.training.marks.export import write_network
from ostiary_moderation.training.marks.ground import Pixels, load_grounds
from ostiary_moderation.training.marks.icons import Icons, load_icons
from ostiary_moderation.training.marks.learning import Learning, Progress
from ostiary_moderation.training.marks.scenes import Draw, scene
from ostiary_moderation.training.marks.shapes import find_directions
from ostiary_moderation.training.photos import Split, split_by_sender

VERSION = "2"
BATCH = 16
CLOSE_UPS = 32
PLACES = 0.35  # share of the time; the rest is for inks
GALLERIES = (200, 3_000)
"""Numbers of registered marks that the score is fitted for."""
TRIALS, STRANGERS, CLEAN = 200, 80, 80
"""Images that the score is fitted on: with a registered mark, with one that is not, and with none."""
PRECISION = 0.98
Report = Callable[[str], None]


@dataclass(frozen=True)
class MarksRun:
    """What a run is made of. `minutes`: of learning, over all resumptions."""

    photos: Path
    out: Path
    minutes: float
    seed: int = 0
    threads: int = 1

    @property
    def workspace(self) -> Path:
        """Where checkpoints and caches lie: beside the result, never in it."""
        return self.out.with_name(self.out.name + ".training")

    @property
    def command(self) -> str:
        """The command that makes this run."""
        options = f"--minutes {self.minutes:g} --seed {self.seed} --threads {self.threads}"
        return f"ostiary model train-marks --photos PHOTOS --out {self.out.name} {options}"


def make_marks(run: MarksRun, report: Report) -> None:
    """Learn, or go on, until the minutes are spent; then write what the detector loads, and fit its score.

    Raises ValueError, in words, for photographs that cannot be used.
    """
    torch.set_num_threads(run.threads)
    split = split_by_sender(read_labelled(run.photos))
    run.workspace.mkdir(parents=True, exist_ok=True)
    run.out.mkdir(parents=True, exist_ok=True)
    icons = load_icons(run.workspace / "icons.npz", report)
    files = [photo.path for photo in split.train]
    grounds = load_grounds(files, run.workspace / "grounds.raw", report)
    where, first = train_places(run, icons, grounds, report)
    which, second = train_inks(run, icons, grounds, report)
    example = torch.zeros(1, 3, LONGER, LONGER)
    write_network(run.out / "places.onnx", where, example, {2: "height", 3: "width"})
    write_network(run.out / "inks.onnx", which, torch.zeros(2, 4, SIDE, SIDE), {0: "views"})
    directions = _directions(run, icons, report)
    facts = {
        "command": run.command,
        "minutes": round((first.seconds + second.seconds) / 60, 1),
        "scenes": first.examples,
        "close_ups": second.examples,
        "train_photos": len(split.train),
        "train_marks": len(icons.of("train")),
    }
    _finish(run, icons, split, directions, facts, report)


def _directions(run: MarksRun, icons: Icons, report: Report) -> Directions:
    cache = run.workspace / "directions.npz"
    if not cache.is_file():
        report("finding directions of shapes")
        found = find_directions(icons.inks[icons.of("train")], run.seed)
        np.savez(cache, mean=found.mean, matrix=found.matrix)
    with np.load(cache) as kept:
        return Directions(kept["mean"], kept["matrix"])


def _finish(
    run: MarksRun,
    icons: Icons,
    split: Split[LabelledPhoto],
    directions: Directions,
    facts: dict[str, Any],
    report: Report,
) -> None:
    """What is seen where no mark is, which marks are refused for it, and what a match is worth."""
    _write(run.out, directions, np.zeros((1, directions.matrix.shape[1]), np.float32), {"version": VERSION})
    networks = Networks(run.out, run.threads)
    ground = fitting.ground_bank(networks, [photo.path for photo in split.train], run.seed, report)
    _write(run.out, directions, ground, {"version": VERSION})
    networks = Networks(run.out, run.threads)
    train = icons.of("train")
    known = fitting.marks_of(icons, train[icons.brands[train]].tolist())
    scoring: dict[str, Any] = {"version": VERSION, "ground_limit": fitting.ground_limit(networks, known)}
    _write(run.out, directions, ground, scoring)
    networks = Networks(run.out, run.threads)
    brands = np.random.default_rng(run.seed).permutation(icons.of("threshold")).tolist()
    files = [photo.path for photo in split.calibration]
    trials = fitting.trials_of(icons, brands[: TRIALS + STRANGERS], files, CLEAN, run.seed)
    looked = fitting.look_at(networks, trials, report)
    registered = fitting.marks_of(icons, brands[:TRIALS])
    judged = [
        fitting.judge(Matcher(networks, [*registered, *known[: count - TRIALS]]), looked)
        for count in GALLERIES
    ]
    scoring["score"] = fitting.fit([each for gallery in judged for each in gallery])
    _write(run.out, directions, ground, scoring)
    score = Score.of(Networks(run.out, run.threads))
    told = [[pair for each in gallery for pair in fitting.surest(each, score)] for gallery in judged]
    thresholds = [fitting.threshold(pairs, PRECISION) for pairs in told]
    scoring["threshold"] = round(max(thresholds), 4)
    recalls = [
        sum(right and value >= scoring["threshold"] for value, right in pairs) / TRIALS for pairs in told
    ]
    scoring["fitted"] = {
        "precision": PRECISION,
        "recall": dict(zip(map(str, GALLERIES), recalls, strict=True)),
    }
    _write(run.out, directions, ground, scoring)
    (run.out / "MODEL_CARD.md").write_text(card.card({**facts, **scoring}), "utf-8")


def _write(folder: Path, directions: Directions, ground: Any, scoring: dict[str, Any]) -> None:
    np.savez(
        folder / "shapes.npz",
        mean=directions.mean.astype(np.float32),
        matrix=directions.matrix.astype(np.float16),
        ground=ground.astype(np.float16),
    )
    (folder / "scoring.json").write_text(json.dumps(scoring, indent=2) + "\n", "utf-8")


def train_places(
    run: MarksRun, icons: Icons, grounds: Pixels, report: Report
) -> tuple[places.Places, Progress]:
    """The network that says where marks stand."""
    torch.manual_seed(run.seed)
    network = places.Places()
    draw = Draw(icons)

    def step(rng: np.random.Generator) -> tuple[torch.Tensor, int]:
        scenes = [scene(rng, draw, grounds) for _ in range(BATCH)]
        pixels = np.stack([each.pixels for each in scenes])
        out = network(to_tensor(pixels)).float()
        return places.loss(out, scenes), BATCH

    seconds = run.minutes * 60 * PLACES
    learning = Learning("places", network, run.workspace / "places.pt", seconds, run.seed)
    learning.run(step, report)
    return network, learning.progress


def train_inks(run: MarksRun, icons: Icons, grounds: Pixels, report: Report) -> tuple[inks.Inks, Progress]:
    """The network that says which pixels of a close-up are the mark's."""
    torch.manual_seed(run.seed + 1)
    network = inks.Inks()
    draw = Draw(icons)

    def step(rng: np.random.Generator) -> tuple[torch.Tensor, int]:
        views = [close_up(rng, draw, grounds) for _ in range(CLOSE_UPS)]
        pixels = torch.from_numpy(with_contrast(np.stack([each.pixels for each in views])))
        out = network(pixels.contiguous(memory_format=torch.channels_last)).float()
        return inks.loss(out, torch.from_numpy(np.stack([each.ink for each in views]))), CLOSE_UPS

    seconds = run.minutes * 60 * (1 - PLACES)
    learning = Learning("inks", network, run.workspace / "inks.pt", seconds, run.seed + 1)
    learning.run(step, report)
    return network, learning.progress


def to_tensor(pixels: Pixels) -> torch.Tensor:
    """(B, H, W, 3) → (B, 3, H, W), -1 to 1, as the networks take them."""
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float().div_(127.5).sub_(1.0)
