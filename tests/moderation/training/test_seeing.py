"""What the vision tower learns from: views of photographs, the teacher's features, and where it starts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ostiary_moderation.bundle import Manifest
from ostiary_moderation.training import library
from ostiary_moderation.training.architecture import build_config, build_model
from ostiary_moderation.training.gallery import LABELS, Gallery, mix, shrink
from ostiary_moderation.training.heads import VisionHeads, label_loss
from ostiary_moderation.training.lessons import LearnToSee, TeachGarments
from ostiary_moderation.training.photos import Photo
from ostiary_moderation.training.student import Student, visual_tokens
from ostiary_moderation.training.teacher import GarmentTeacher, OverlayTeacher
from ostiary_moderation.training.tokenizer import build_tokenizer


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Gallery:
    """Six red upright dresses and six blue lying shirts."""
    folder = tmp_path_factory.mktemp("photos")
    photos = []
    for index in range(12):
        upright = index % 2 == 0
        path = folder / f"{index}.png"
        size, colour = ((300, 400), "red") if upright else ((400, 300), "blue")
        Image.new("RGB", size, colour).save(path)
        photos.append(Photo(path, "dress" if upright else "shirt", colour, "plain", "adults", str(index)))
    return Gallery(photos)


def _student(width: int = 64) -> Student:
    tokenizer = build_tokenizer(Manifest.model_validate(library.manifest("0" * 64, {})), seed=0)
    return Student(build_model(build_config(tokenizer, width=width), seed=0), [300, 301])


@given(st.integers(0, 10**6), st.booleans())
@settings(deadline=None, max_examples=30)
def test_views_keep_their_labels(gallery: Gallery, seed: int, mixed: bool) -> None:
    """Labels are shares that sum to 1, mixed or not; a batch has one shape; the same draw gives the same."""
    rng, again = np.random.default_rng(seed), np.random.default_rng(seed)
    grid, views = gallery.draw(rng, 4, 12)
    if mixed:
        views = mix(rng, views)
    assert views.pixels.shape == (4, 3, grid[0] * 32, grid[1] * 32)
    for name, values in LABELS.items():
        assert views.labels[name].shape == (4, len(values))
        torch.testing.assert_close(views.labels[name].sum(dim=1), torch.ones(4))
    upright = grid[0] > grid[1]
    assert (
        views.labels["category"].argmax(dim=1) == LABELS["category"].index("dress" if upright else "shirt")
    ).all()
    _, same = gallery.draw(again, 4, 12)
    torch.testing.assert_close(mix(again, same).pixels if mixed else same.pixels, views.pixels)


@pytest.mark.parametrize(
    ("shape", "tokens", "grid"),
    [((9, 7), 20, (5, 4)), ((7, 9), 12, (3, 4)), ((8, 8), 100, (8, 8)), ((9, 7), 1, (1, 1))],
)
def test_shapes_shrink_in_proportion(shape: tuple[int, int], tokens: int, grid: tuple[int, int]) -> None:
    """As near to the wanted number of tokens as whole rows and columns come."""
    assert shrink(shape, tokens) == grid


def test_colours_do_not_count_in_blends(gallery: Gallery) -> None:
    """A head that is wrong about colour alone loses nothing on a blend."""
    _, views = gallery.draw(np.random.default_rng(0), 4, 12)
    logits = {name: 50.0 * share for name, share in views.labels.items()}
    logits["colour"] = -logits["colour"]
    blend = type(views)(views.pixels, views.labels, blended=True)
    assert label_loss(logits, views) > label_loss(logits, blend) + 5


def test_heads_of_the_vision_tower_start_as_taps() -> None:
    """Before anything is learnt, each head but the free one looks mostly at one neighbour, and at the same
    one from everywhere.
    """
    visual = _student(width=192).model.model.visual
    positions = torch.stack(torch.meshgrid(torch.arange(9), torch.arange(9), indexing="ij"), -1).reshape(
        -1, 2
    )
    cos, sin = visual.rotary_pos_emb(torch.zeros(1), positions)
    attention = visual.blocks[0].attn
    bias = attention.qkv.bias.detach().view(3, attention.num_heads, attention.head_dim)

    def turned(part: torch.Tensor) -> torch.Tensor:
        first, second = part.chunk(2)
        return part * cos + torch.cat([-second, first]) * sin

    seen = []
    for head in range(attention.num_heads):
        scores = turned(bias[0, head]) @ turned(bias[1, head]).T * attention.scaling
        where = positions[scores.argmax(dim=1)] - positions
        inner = ((positions > 0) & (positions < 8)).all(dim=1)
        if scores.std() > 0.1:
            assert len({tuple(offset) for offset in where[inner].tolist()}) == 1
            seen.append(tuple(where[inner][0].tolist()))
    assert sorted(seen) == [(-1, 0), (0, -1), (0, 0), (0, 1), (1, 0)]


def test_the_student_takes_after_the_teacher(gallery: Gallery) -> None:
    """A few steps on one batch bring features and opinion nearer; the teacher itself is left alone."""
    torch.manual_seed(0)
    student, teacher = _student(), GarmentTeacher(width=8).eval()
    heads = VisionHeads(64, teacher.width, 32)
    grid, views = gallery.draw(np.random.default_rng(1), 4, 12)
    taught = teacher.teach(views.pixels, grid)
    assert taught[0].shape == (4, grid[0] * grid[1], teacher.width)
    optimiser = torch.optim.AdamW([*student.parameters(), *heads.parameters()], lr=3e-3)
    losses = []
    for _ in range(8):
        loss = heads.garment_loss(visual_tokens(student.see(views.pixels, grid)), views, taught)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]
    assert all(parameter.grad is None for parameter in teacher.parameters())


def test_lessons_turn_batches_into_finite_losses(gallery: Gallery) -> None:
    """The first part of the course teaches the teacher, the next the vision tower, on photographs alone."""
    student, teacher = _student(), GarmentTeacher(width=8)
    heads = VisionHeads(64, teacher.width, 32)
    rng = np.random.default_rng(0)
    loss, examples = TeachGarments(teacher, gallery, 4).loss(rng, iter(()))
    assert examples == 4
    assert torch.isfinite(loss)
    see = LearnToSee(student, heads, teacher, OverlayTeacher(width=8), gallery, 4)
    on_photographs = np.random.default_rng(
        next(s for s in range(99) if np.random.default_rng(s).random() < 0.5)
    )
    loss, _ = see.loss(on_photographs, iter(()))
    assert torch.isfinite(loss)
    assert not teacher.training


def test_a_teacher_sees_at_a_sixteenth(gallery: Gallery) -> None:
    """One place of its feature map for each 16 × 16 pixels, pooled to the student's tokens."""
    teacher = GarmentTeacher(width=8).eval()
    features, logits = teacher(torch.zeros(2, 3, 144, 112))
    assert features.shape == (2, 32, 9, 7)
    assert {name: tuple(part.shape) for name, part in logits.items()} == {
        name: (2, len(values)) for name, values in LABELS.items()
    }


def test_unknown_files_are_no_photographs(tmp_path: Path) -> None:
    """A photograph that cannot be read stops the run before any time is spent on training."""
    (tmp_path / "x.jpg").write_bytes(b"no image")
    with pytest.raises(OSError, match="cannot identify"):
        Gallery([Photo(tmp_path / "x.jpg", "dress", "red", "plain", "adults", "1")])
