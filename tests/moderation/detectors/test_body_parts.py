"""What is made of a model's outputs: boxes, names, and one box for each place."""

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from ostiary_moderation.detectors.body_parts import PARTS, Part, framed, parts


def outputs(*found: tuple[str, float, Sequence[float]]) -> NDArray[np.float32]:
    """A model's outputs: for each place a part, its confidence, and centre x and y, width, height."""
    columns = np.zeros((4 + len(PARTS), len(found)), np.float32)
    for place, (name, confidence, box) in enumerate(found):
        columns[:4, place] = box
        columns[4 + PARTS.index(name), place] = confidence
    return columns


def test_boxes_are_in_pixels_of_the_image() -> None:
    """The model works on a smaller square."""
    [part] = parts(outputs(("belly_exposed", 0.75, (100, 60, 40, 20))), scale=2.5, min_confidence=0.2)
    assert part == Part("belly_exposed", 0.75, (200, 125, 300, 175))


def test_what_is_too_unsure_is_left_out() -> None:
    """The surest comes first."""
    found = parts(
        outputs(
            ("face_male", 0.3, (20, 20, 10, 10)),
            ("belly_exposed", 0.19, (100, 100, 10, 10)),
            ("face_female", 0.9, (200, 200, 10, 10)),
        ),
        scale=1,
        min_confidence=0.2,
    )
    assert [part.name for part in found] == ["face_female", "face_male"]


def test_a_place_is_what_the_model_is_surest_of() -> None:
    """Of two names for one box the likelier counts, and of two boxes at one place the surer."""
    columns = outputs(
        ("female_breast_covered", 0.8, (100, 100, 50, 50)),
        ("female_breast_exposed", 0.6, (104, 102, 50, 50)),
        ("female_breast_exposed", 0.5, (200, 100, 50, 50)),
    )
    columns[4 + PARTS.index("belly_covered"), 2] = 0.4
    names = [part.name for part in parts(columns, scale=1, min_confidence=0.2)]
    assert names == ["female_breast_covered", "female_breast_exposed"]


def test_certainty_keeps_finite_odds() -> None:
    """A model that says 1 is taken for one that is nearly certain."""
    [part] = parts(outputs(("face_male", 1.0, (20, 20, 10, 10))), scale=1, min_confidence=0.2)
    assert part.confidence < 1


@pytest.mark.parametrize(
    "shape", [(1, 1), (1, 4096), (4096, 1), (480, 640)], ids=lambda shape: "x".join(map(str, shape))
)
def test_any_shape_is_framed(shape: tuple[int, int]) -> None:
    """In the corner of a black square, its sides in proportion."""
    picture = framed(np.full((*shape, 3), 255, np.uint8))
    assert picture.shape == (1, 3, 320, 320)
    assert picture[0, :, 0, 0].tolist() == [1, 1, 1]
    lit = picture[0, 0].astype(bool)
    height, width = lit.any(axis=1).sum(), lit.any(axis=0).sum()
    assert max(height, width) == 320
    assert (height, width) == tuple(max(1, round(side * 320 / max(shape))) for side in shape)
