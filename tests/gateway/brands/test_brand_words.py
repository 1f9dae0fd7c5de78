"""Word marks in texts: however they are written, and only where they stand as words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostiary_gateway.brands.words import WordIndex, folded

INDEX = WordIndex(
    [
        ("ZORVANE", "zorvane"),
        ("Polo", "polo"),
        ("Polo Ralva Luren", "ralva"),
        ("Côte d'Orva", "cote"),
        ("H&V", "hv"),
        ("鹿行者", "deer"),
        ("鹿行", "deer-short"),
    ]
)


def found(text: str) -> list[tuple[str, str]]:
    return [(mention.reference_id, text[mention.start : mention.end]) for mention in INDEX.mentions(text)]


@pytest.mark.parametrize(
    ("text", "mentions"),
    [
        ("New Zorvane sneakers", [("zorvane", "Zorvane")]),
        ("ZORVANE®", [("zorvane", "ZORVANE")]),
        ("Zorvane™ shoes", [("zorvane", "Zorvane")]),
        ("ｚｏｒｖａｎｅ", [("zorvane", "ｚｏｒｖａｎｅ")]),
        ("Z O R V A N E", [("zorvane", "Z O R V A N E")]),
        ("z.o.r.v.a.n.e", [("zorvane", "z.o.r.v.a.n.e")]),
        ("Zor-vane", [("zorvane", "Zor-vane")]),
        ("ZОRVАNЕ", [("zorvane", "ZОRVАNЕ")]),
        ("zorvane运动鞋", [("zorvane", "zorvane")]),
        ("正品Zorvane", [("zorvane", "Zorvane")]),
        ("(Zorvane)", [("zorvane", "Zorvane")]),
        ("Cote dOrva, côte d’orva", [("cote", "Cote dOrva"), ("cote", "côte d’orva")]),
        ("h & v", [("hv", "h & v")]),
        ("新款鹿行者童鞋", [("deer", "鹿行者")]),
        ("polo ralva luren shirt", [("ralva", "polo ralva luren")]),
        ("polo shirt", [("polo", "polo")]),
        ("zorvanes", []),
        ("azorvane", []),
        ("zorvane2", []),
        ("zorvan", []),
        ("Marco Polonia", []),
        ("hv", []),
        ("", []),
    ],
)
def test_mentions(text: str, mentions: list[tuple[str, str]]) -> None:
    """Case, width, accents, look-alikes, spaces and signs do not hide a word; longer words do not hold it."""
    assert found(text) == mentions


@given(
    st.text("zorvanepl 鹿行者-.", max_size=30),
    st.sampled_from(["", " ", "-", "，", "鞋"]),
    st.sampled_from(["zorvane", "H&V", "鹿行者"]),
)
def test_a_word_apart_is_found_in_any_text(before: str, between: str, word: str) -> None:
    """Whatever stands before it, behind a comma, in its original place."""
    text = f"{before}，{word}{between}"
    assert word in [text[mention.start : mention.end] for mention in INDEX.mentions(text)]


@given(st.text(max_size=20))
def test_folding_once_is_enough(word: str) -> None:
    """So that registries and texts meet."""
    assert folded(folded(word)) == folded(word)


def test_no_words_are_found_without_a_registry() -> None:
    """An empty index is one too."""
    assert WordIndex([]).mentions("Zorvane") == []
