"""Views are what the stock image processor would resize to: byte for byte, or nearly so for large images."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from transformers import Qwen2VLImageProcessorPil
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize

from ostiary_moderation.training.architecture import build_image_processor
from ostiary_moderation.views import PixelRange, ViewSpec, make_views, target_size

BUDGET = PixelRange(50_176, 67_584)
CLOSER = PixelRange(150_000, 200_704)


@given(
    height=st.integers(1, 6000),
    width=st.integers(1, 6000),
    budget=st.sampled_from([BUDGET, CLOSER, PixelRange(3136, 12_845_056)]),
)
@settings(max_examples=300, deadline=None)
def test_sizes_equal_the_stock_processors(height: int, width: int, budget: PixelRange) -> None:
    """For every shape: the same numbers, or both refuse."""
    try:
        expected = smart_resize(height, width, 32, budget.min_pixels, budget.max_pixels)
    except ValueError:
        with pytest.raises(ValueError, match="200 : 1"):
            target_size(height, width, 32, budget)
    else:
        assert target_size(height, width, 32, budget) == expected


@pytest.mark.parametrize("shape", [(400, 300), (37, 900), (256, 224), (500, 400)])
def test_pixels_equal_the_stock_processors(shape: tuple[int, int]) -> None:
    """Resized bytes equal the stock bytes; a view that needs no resizing is the image."""
    pixels = noise(shape)
    stock: Qwen2VLImageProcessorPil = build_image_processor(BUDGET.min_pixels, BUDGET.max_pixels)
    theirs = stock(images=[pixels], return_tensors="np")["pixel_values"]
    ours = stock(
        images=[make_views(pixels, ViewSpec(32, BUDGET)).first], do_resize=False, return_tensors="np"
    )
    np.testing.assert_array_equal(ours["pixel_values"], theirs)


def test_large_images_are_nearly_the_stock_processors() -> None:
    """Reduced before they are resized: within a few of 255 levels, and far less on average."""
    shades = np.linspace(0, 255, 9 * 7 * 3).reshape(9, 7, 3).astype(np.uint8)
    shades = np.random.default_rng(1).permutation(shades)
    large = Image.fromarray(shades).resize((1800, 2400), Image.Resampling.BICUBIC)
    ours = make_views(np.asarray(large), ViewSpec(32, BUDGET)).first
    stock = np.asarray(large.resize((ours.shape[1], ours.shape[0]), Image.Resampling.BICUBIC))
    apart = np.abs(ours.astype(int) - stock)
    assert 0 < apart.max() <= 4
    assert apart.mean() < 0.5


def test_a_closer_view_shows_more_or_is_left_out() -> None:
    """A photograph gets one; an image that is no larger than the first look does not."""
    spec = ViewSpec(32, BUDGET, CLOSER)
    views = make_views(noise((1600, 1200)), spec)
    assert views.closer is not None
    assert views.first.size < views.closer.size <= 3 * CLOSER.max_pixels
    upside_down = ViewSpec(32, CLOSER, BUDGET)
    assert make_views(noise((1600, 1200)), upside_down).closer is None


@pytest.mark.parametrize(
    ("pixels", "words"),
    [
        pytest.param(np.zeros((4, 4), np.uint8), "H × W × 3", id="grey"),
        pytest.param(np.zeros((4, 4, 3), np.float32), "uint8", id="floats"),
        pytest.param(np.zeros((0, 4, 3), np.uint8), "H × W × 3", id="empty"),
        pytest.param(np.zeros((1, 900, 3), np.uint8), "aspect ratio", id="a line"),
    ],
)
def test_what_is_no_image_has_no_views(pixels: NDArray[np.uint8], words: str) -> None:
    """Wrong shapes are the caller's error, in words."""
    with pytest.raises(ValueError, match=words):
        make_views(pixels, ViewSpec(32, BUDGET))


def noise(shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Random pixels."""
    return np.random.default_rng(3).integers(0, 256, (*shape, 3), dtype=np.uint8)
