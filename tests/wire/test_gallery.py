"""The digest that says whether a pod holds the gateway's gallery."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostiary.v1.inference_pb2 import GalleryMark
from ostiary.wire.gallery import gallery_digest

_MARKS = st.lists(
    st.builds(
        GalleryMark,
        brand=st.text("ab", max_size=3),
        reference_id=st.text("ab", min_size=1, max_size=3),
        image=st.binary(max_size=3),
        words=st.lists(st.text("ab", max_size=3), max_size=3),
    ),
    unique_by=lambda mark: mark.reference_id,
    max_size=4,
)


@given(_MARKS, st.randoms(use_true_random=False))
def test_the_order_of_marks_does_not_count(marks: list[GalleryMark], random) -> None:
    """The same marks in any order are the same gallery."""
    shuffled = list(marks)
    random.shuffle(shuffled)
    assert gallery_digest(shuffled) == gallery_digest(marks)


@given(_MARKS, _MARKS)
def test_other_marks_have_another_digest(one: list[GalleryMark], other: list[GalleryMark]) -> None:
    """Two galleries share a digest only where they hold the same marks."""

    def as_set(marks: list[GalleryMark]) -> set[bytes]:
        return {mark.SerializeToString(deterministic=True) for mark in marks}

    assert (gallery_digest(one) == gallery_digest(other)) == (as_set(one) == as_set(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param({"words": ["ab", "c"]}, {"words": ["a", "bc"]}, id="words that run together"),
        pytest.param({"brand": "ab"}, {"brand": "a", "image": b"b"}, id="fields that run together"),
        pytest.param({"words": ["a", "b"]}, {"words": ["b", "a"]}, id="order of words"),
    ],
)
def test_values_do_not_run_together(one: dict, other: dict) -> None:
    """A boundary that moves changes the digest."""
    first, second = (GalleryMark(reference_id="r", **fields) for fields in (one, other))
    assert gallery_digest([first]) != gallery_digest([second])
