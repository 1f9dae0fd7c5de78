"""Shapes laid over what was seen, and the views that both are compared in."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from ostiary_moderation.figurative.alignment import agreement, first_guess
from ostiary_moderation.figurative.view import FILLED, SIDE, Box, Window, with_contrast


def shape(points: list[tuple[int, int]], angle: float = 0, dx: float = 0, dy: float = 0) -> np.ndarray:
    """A polygon in the square view, turned and shifted by pixels of the view."""
    image = Image.new("L", (SIDE * 4, SIDE * 4))
    ImageDraw.Draw(image).polygon([(40 + x, 40 + y) for x, y in points], fill=255)
    image = image.rotate(angle, Image.Resampling.BICUBIC, translate=(dx * 4, dy * 4))
    return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BOX), np.float32) / 255


ARROW = [(0, 60), (56, 0), (112, 60), (80, 60), (80, 112), (32, 112), (32, 60)]
FLAG = [(0, 0), (112, 28), (20, 56), (20, 112), (0, 112)]
STEPS = [(0, 112), (0, 80), (40, 80), (40, 40), (80, 40), (80, 0), (112, 0), (112, 112)]


def agree(one: np.ndarray, other: np.ndarray) -> float:
    _, maps = first_guess(one[None], other[None])
    return float(agreement(one[None], other[None], maps)[0])


@settings(max_examples=25, deadline=None)
@given(
    which=st.sampled_from([ARROW, FLAG, STEPS]),
    angle=st.floats(-20, 20),
    dx=st.floats(-2, 2),
    dy=st.floats(-2, 2),
)
def test_a_shape_is_found_turned_and_shifted(
    which: list[tuple[int, int]], angle: float, dx: float, dy: float
) -> None:
    """Within twenty degrees and two pixels either way."""
    assert agree(shape(which), shape(which, angle, dx, dy)) > 0.95


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param(ARROW, FLAG, id="arrow and flag"),
        pytest.param(FLAG, STEPS, id="flag and steps"),
        pytest.param(STEPS, ARROW, id="steps and arrow"),
    ],
)
def test_other_shapes_agree_less(one: list[tuple[int, int]], other: list[tuple[int, int]]) -> None:
    """However they are turned."""
    for angle in (-15, 0, 15):
        assert agree(shape(one), shape(other, angle)) < 0.9


def test_a_window_has_its_box_in_the_middle() -> None:
    """The ink's box comes back where it was, also where the window reaches over the image's edge."""
    picture = Image.new("RGB", (200, 120), (240, 240, 240))
    ImageDraw.Draw(picture).rectangle((4, 30, 63, 69), fill=(20, 20, 20))
    box = Box(4, 30, 64, 70)
    window = Window.around(box)
    view = window.cut(picture)
    found = window.box((view.mean(axis=2) < 128).astype(np.float32))
    assert view.shape == (SIDE, SIDE, 3)
    assert found is not None
    assert found.overlap(box) > 0.85
    assert window.side == pytest.approx(60 / FILLED)


@settings(max_examples=60, deadline=None)
@given(
    left=st.floats(0, 190),
    top=st.floats(0, 110),
    width=st.floats(0.5, 400),
    height=st.floats(0.5, 400),
)
def test_any_box_can_be_cut_out(left: float, top: float, width: float, height: float) -> None:
    """Wherever it begins in the image, and however far beyond it reaches."""
    picture = Image.new("RGB", (200, 120), (7, 8, 9))
    view = Window.around(Box(left, top, left + width, top + height)).cut(picture)
    assert view.shape == (SIDE, SIDE, 3)
    assert (view == (7, 8, 9)).all()


def test_a_view_without_ink_has_no_box() -> None:
    """A few stray pixels are no mark."""
    ink = np.zeros((SIDE, SIDE), np.float32)
    ink[3, 5] = 1
    assert Window(0, 0, 100).box(ink) is None


def test_the_contrast_is_against_the_edges() -> None:
    """A patch in the middle differs from what stands along the edges, which differs from nothing."""
    views = np.full((2, SIDE, SIDE, 3), 100, np.uint8)
    views[1, 20:28, 20:28] = (100, 227, 100)
    contrast = with_contrast(views)[:, 3]
    assert contrast[0].max() == -1
    assert contrast[1, 24, 24] == pytest.approx(127 / 127.5 - 1)
    assert contrast[1, 2, 2] == -1


def test_overlap_is_of_the_union() -> None:
    """Half of each in common is a third of both."""
    assert Box(0, 0, 10, 10).overlap(Box(5, 0, 15, 10)) == pytest.approx(1 / 3)
    assert Box(0, 0, 10, 10).overlap(Box(10, 0, 15, 10)) == 0
    assert Box(0, 0, 10, 10).within(Box(5, 0, 15, 10)) == pytest.approx(1 / 2)
    assert Box(2, 2, 4, 4).within(Box(0, 0, 10, 10)) == 1
