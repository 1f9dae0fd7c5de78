"""One training run, from photographs and icons to the folder that the detector loads."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ostiary_moderation.training.marks import inks, places
from ostiary_moderation.training.marks.closeups import close_up
from ostiary_moderation.training.marks.ground import Pixels, load_grounds
from ostiary_moderation.training.marks.icons import Icons, load_icons
from ostiary_moderation.training.marks.learning import Learning
from ostiary_moderation.training.marks.scenes import Draw, scene
from ostiary_moderation.training.photos import split_files

BATCH = 16
CLOSE_UPS = 48
PLACES = 0.5  # share of the time; the rest is for inks
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


def train_places(run: MarksRun, icons: Icons, grounds: Pixels, report: Report) -> places.Places:
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
    Learning("places", network, run.workspace / "places.pt", seconds, run.seed).run(step, report)
    return network


def train_inks(run: MarksRun, icons: Icons, grounds: Pixels, report: Report) -> inks.Inks:
    """The network that says which pixels of a close-up are the mark's."""
    torch.manual_seed(run.seed + 1)
    network = inks.Inks()
    draw = Draw(icons)

    def step(rng: np.random.Generator) -> tuple[torch.Tensor, int]:
        views = [close_up(rng, draw, grounds) for _ in range(CLOSE_UPS)]
        out = network(to_tensor(np.stack([each.pixels for each in views]))).float()
        return inks.loss(out, torch.from_numpy(np.stack([each.ink for each in views]))), CLOSE_UPS

    seconds = run.minutes * 60 * (1 - PLACES)
    Learning("inks", network, run.workspace / "inks.pt", seconds, run.seed + 1).run(step, report)
    return network


def to_tensor(pixels: Pixels) -> torch.Tensor:
    """(B, H, W, 3) → (B, 3, H, W), -1 to 1, as the networks take them."""
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float().div_(127.5).sub_(1.0)
