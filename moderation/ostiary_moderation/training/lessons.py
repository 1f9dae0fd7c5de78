"""What is learnt in each part of the time, one class a lesson. A lesson turns a batch into a loss."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, Protocol

import numpy as np
import torch
from torch.nn.functional import interpolate, one_hot

from ostiary_moderation.training.curriculum import Curriculum
from ostiary_moderation.training.feed import Batch
from ostiary_moderation.training.gallery import LABELS, Gallery, Views, mix
from ostiary_moderation.training.heads import VisionHeads, label_loss
from ostiary_moderation.training.student import Student, visual_tokens
from ostiary_moderation.training.teacher import Teacher

MIXED = 0.6  # share of batches of photographs that are mixed
SMALL, MEDIUM = 12, 20  # visual tokens of the pictures that photographs are learnt from


Scenes = Literal["none", "close-ups", "whole"]


class Lesson(Protocol):
    """`scenes`: what it needs drawn."""

    @property
    def scenes(self) -> Scenes: ...

    def loss(self, rng: np.random.Generator, scenes: Iterator[Batch]) -> tuple[torch.Tensor, int]:
        """The loss of one batch, and how many examples it held."""
        ...


class TeachTheTeacher:
    """The convolutional network learns the photographs' labels."""

    scenes: Scenes = "none"

    def __init__(self, teacher: Teacher, gallery: Gallery, batch: int) -> None:
        self._teacher, self._gallery, self._batch = teacher, gallery, batch

    def loss(self, rng: np.random.Generator, scenes: Iterator[Batch]) -> tuple[torch.Tensor, int]:
        """Labels alone, on small pictures mostly."""
        self._teacher.train()
        _, views = _photographs(rng, self._gallery, self._batch, MEDIUM if rng.random() < 0.25 else SMALL)
        return label_loss(self._teacher(views.pixels)[1], views), self._batch


class LearnToSee:
    """The vision tower learns photographs from the teacher, and on every other batch what is drawn over
    them.
    """

    scenes: Scenes = "close-ups"

    def __init__(
        self, student: Student, heads: VisionHeads, teacher: Teacher, gallery: Gallery, batch: int
    ) -> None:
        self._student, self._heads, self._teacher = student, heads, teacher
        self._gallery, self._batch = gallery, batch

    def loss(self, rng: np.random.Generator, scenes: Iterator[Batch]) -> tuple[torch.Tensor, int]:
        """Photographs, or close-ups of scenes."""
        self._teacher.eval()
        if rng.random() < 0.5:
            grid, views = _photographs(rng, self._gallery, self._batch, MEDIUM)
            tokens = visual_tokens(self._student.see(views.pixels, grid))
            taught = self._teacher.teach(views.pixels, grid)
            return self._heads.garment_loss(tokens, views, taught), self._batch
        batch = next(scenes)
        tokens = visual_tokens(self._student.see(to_tensor(batch.pixels), batch.grid))
        return 4.0 * self._heads.cover_loss(tokens, torch.from_numpy(batch.cover)), len(batch.pixels)


class LearnToAnswer:
    """Whole scenes at the size that serving sees them in: both towers, or the text tower on frozen sight."""

    scenes: Scenes = "whole"

    def __init__(
        self,
        student: Student,
        heads: VisionHeads,
        teacher: Teacher,
        curriculum: Curriculum | None,
        seeing: bool,
    ) -> None:
        self._student, self._heads, self._teacher = student, heads, teacher
        self._curriculum, self._seeing = curriculum, seeing

    def loss(self, rng: np.random.Generator, scenes: Iterator[Batch]) -> tuple[torch.Tensor, int]:
        """What the heads are taught, and the answers where there is a curriculum."""
        self._teacher.eval()
        batch = next(scenes)
        with torch.set_grad_enabled(self._seeing):
            features = self._student.see(to_tensor(batch.pixels), batch.grid)
        loss = torch.zeros(())
        if self._seeing:
            loss = 0.5 * self._sight_loss(batch, visual_tokens(features))
        if self._curriculum is not None:
            loss = loss + self._student.answer_loss(self._curriculum.pack(batch), features)
        return loss, len(batch.pixels)

    def _sight_loss(self, batch: Batch, tokens: torch.Tensor) -> torch.Tensor:
        labels = {
            name: one_hot(torch.from_numpy(indices), len(LABELS[name])).float()
            for name, indices in batch.labels.items()
        }
        clean = interpolate(to_tensor(batch.clean), scale_factor=0.5, mode="bilinear", antialias=True)
        views = Views(clean, labels)
        taught = self._teacher.teach(clean, batch.grid)
        cover = self._heads.cover_loss(tokens, torch.from_numpy(batch.cover))
        return 4.0 * cover + self._heads.garment_loss(tokens, views, taught)


def to_tensor(pixels: np.ndarray) -> torch.Tensor:
    """(B, H, W, 3) uint8 → (B, 3, H, W), -1 to 1."""
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float().div_(127.5).sub_(1.0)


def _photographs(
    rng: np.random.Generator, gallery: Gallery, size: int, tokens: int
) -> tuple[tuple[int, int], Views]:
    grid, views = gallery.draw(rng, size, tokens)
    return grid, mix(rng, views) if rng.random() < MIXED else views
