"""What is learnt in each part of the time, one class a lesson. A lesson turns a batch into a loss."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
import torch
from torch.nn.functional import interpolate, one_hot

from ostiary_moderation.training.curriculum import Curriculum
from ostiary_moderation.training.feed import NONE, Batch, Showing
from ostiary_moderation.training.gallery import LABELS, Gallery, Views, mix, relight
from ostiary_moderation.training.heads import VisionHeads, cover_loss, label_loss
from ostiary_moderation.training.student import Student, visual_tokens
from ostiary_moderation.training.teacher import GarmentTeacher, OverlayTeacher

MIXED = 0.6  # share of batches of photographs that are mixed
SMALL, MEDIUM, WHOLE = 12, 20, 63  # visual tokens of the pictures that photographs are learnt from


class Lesson(Protocol):
    """`scenes`: what it needs drawn; None: nothing."""

    @property
    def scenes(self) -> Showing | None: ...

    def loss(self, rng: np.random.Generator, scenes: Iterator[Batch]) -> tuple[torch.Tensor, int]:
        """The loss of one batch, and how many examples it held."""
        ...


class TeachGarments:
    """A convolutional network learns the photographs' labels."""

    scenes: Showing | None = None

    def __init__(self, teacher: GarmentTeacher, gallery: Gallery, batch: int) -> None:
        self._teacher, self._gallery, self._batch = teacher, gallery, batch

    def loss(self, rng: np.random.Generator, scenes: Iterator[Batch]) -> tuple[torch.Tensor, int]:
        """Labels alone, on small pictures mostly."""
        self._teacher.train()
        _, views = _photographs(rng, self._gallery, self._batch, MEDIUM if rng.random() < 0.25 else SMALL)
        return label_loss(self._teacher(views.pixels)[1], views), self._batch


class TeachOverlays:
    """Another learns what is drawn over them, on close-ups."""

    scenes: Showing | None = "close-ups"

    def __init__(self, teacher: OverlayTeacher) -> None:
        self._teacher = teacher

    def loss(self, rng: np.random.Generator, scenes: Iterator[Batch]) -> tuple[torch.Tensor, int]:
        """What covers each visual token."""
        self._teacher.train()
        batch = next(scenes)
        logits = self._teacher(relight(rng, to_tensor(batch.pixels)), batch.grid)
        return 4.0 * cover_loss(logits, torch.from_numpy(batch.cover)), len(batch.pixels)


class LearnToSee:
    """The vision tower learns photographs from one teacher, and on every other batch what is drawn over them
    from the other.
    """

    scenes: Showing | None = "close-ups"

    def __init__(
        self,
        student: Student,
        heads: VisionHeads,
        garments: GarmentTeacher,
        overlays: OverlayTeacher,
        gallery: Gallery,
        batch: int,
    ) -> None:
        self._student, self._heads = student, heads
        self._garments, self._overlays = garments, overlays
        self._gallery, self._batch = gallery, batch

    def loss(self, rng: np.random.Generator, scenes: Iterator[Batch]) -> tuple[torch.Tensor, int]:
        """Photographs, or close-ups of scenes."""
        return self._photographs(rng) if rng.random() < 0.5 else self._close_ups(rng, next(scenes))

    def _photographs(self, rng: np.random.Generator) -> tuple[torch.Tensor, int]:
        """Small ones mostly, a third of as many at the size of whole scenes."""
        self._garments.eval()
        whole = rng.random() < 0.3
        size = max(1, self._batch // 3) if whole else self._batch
        grid, views = _photographs(rng, self._gallery, size, WHOLE if whole else MEDIUM)
        tokens = visual_tokens(self._student.see(views.pixels, grid))
        taught = self._garments.teach(_halved(views.pixels) if whole else views.pixels, grid)
        return self._heads.garment_loss(tokens, views, taught), size

    def _close_ups(self, rng: np.random.Generator, batch: Batch) -> tuple[torch.Tensor, int]:
        self._overlays.eval()
        pixels = relight(rng, to_tensor(batch.pixels))
        tokens = visual_tokens(self._student.see(pixels, batch.grid))
        loss = 4.0 * self._heads.cover_loss(tokens, torch.from_numpy(batch.cover))
        taught = self._overlays.teach(pixels, batch.grid)
        return loss + 2.0 * self._heads.overlay_loss(tokens, taught), len(batch.pixels)


class LearnToRead:
    """The text tower learns the answers about whole scenes, from sight that does not change."""

    scenes: Showing | None = "small"

    def __init__(self, student: Student, curriculum: Curriculum) -> None:
        self._student, self._curriculum = student, curriculum

    def loss(self, rng: np.random.Generator, scenes: Iterator[Batch]) -> tuple[torch.Tensor, int]:
        """The answers alone."""
        batch = next(scenes)
        with torch.no_grad():
            features = self._student.see(relight(rng, to_tensor(batch.pixels)), batch.grid)
        return self._student.answer_loss(self._curriculum.pack(batch), features), len(batch.pixels)


class LearnToAnswer:
    """Both towers learn from whole scenes, in either size."""

    def __init__(
        self,
        scenes: Showing,
        student: Student,
        heads: VisionHeads,
        garments: GarmentTeacher,
        overlays: OverlayTeacher,
        curriculum: Curriculum | None,
    ) -> None:
        self.scenes: Showing | None = scenes
        self._student, self._heads = student, heads
        self._garments, self._overlays = garments, overlays
        self._curriculum = curriculum

    def loss(self, rng: np.random.Generator, scenes: Iterator[Batch]) -> tuple[torch.Tensor, int]:
        """What the heads are taught, and the answers where there is a curriculum."""
        self._garments.eval()
        self._overlays.eval()
        batch = next(scenes)
        # Side by side, so that the same light falls on both.
        both = torch.cat([to_tensor(batch.pixels), to_tensor(batch.clean)], dim=3)
        pixels, clean = relight(rng, both).chunk(2, dim=3)
        features = self._student.see(pixels, batch.grid)
        loss = 0.5 * self._sight_loss(batch, pixels, clean, visual_tokens(features))
        if self._curriculum is not None:
            loss = loss + self._student.answer_loss(self._curriculum.pack(batch), features)
        return loss, len(batch.pixels)

    def _sight_loss(
        self, batch: Batch, pixels: torch.Tensor, clean: torch.Tensor, tokens: torch.Tensor
    ) -> torch.Tensor:
        labels = {name: _shares(indices, len(LABELS[name])) for name, indices in batch.labels.items()}
        taught = self._garments.teach(_halved(clean), batch.grid)
        garment = self._heads.garment_loss(tokens, Views(clean, labels), taught)
        cover = self._heads.cover_loss(tokens, torch.from_numpy(batch.cover))
        overlay = self._heads.overlay_loss(tokens, self._overlays.teach(pixels, batch.grid))
        return garment + 4.0 * cover + 2.0 * overlay


def to_tensor(pixels: np.ndarray) -> torch.Tensor:
    """(B, H, W, 3) uint8 → (B, 3, H, W), -1 to 1."""
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float().div_(127.5).sub_(1.0)


def _shares(indices: np.ndarray, values: int) -> torch.Tensor:
    """(B,) → (B, values): 1 for the label's value; nothing where none is true."""
    return (
        one_hot(torch.from_numpy(indices).clamp(min=0), values).float()
        * torch.from_numpy(indices != NONE)[:, None]
    )


def _halved(pixels: torch.Tensor) -> torch.Tensor:
    """At about the size that the teacher of garments learnt them in."""
    return interpolate(pixels, scale_factor=0.5, mode="bilinear", antialias=True)


def _photographs(
    rng: np.random.Generator, gallery: Gallery, size: int, tokens: int
) -> tuple[tuple[int, int], Views]:
    grid, views = gallery.draw(rng, size, tokens)
    return grid, mix(rng, views) if rng.random() < MIXED else views
