"""The labels that word marks are measured with: brands and photographs that exist, chosen as is said."""

import csv
from collections import Counter
from pathlib import Path

import pytest

from bench.detectors import marks, summary
from bench.detectors.__main__ import photographs_folder
from bench.detectors.selection import Photograph, chosen, read_photographs
from ostiary.v1.observation_pb2 import BrandCandidate
from ostiary_gateway.brands import lint

ROWS = list(csv.DictReader((marks.DATA / "brands.csv").read_text("utf-8").splitlines()))
REGISTRY = marks.registry()


def test_every_brand_is_in_the_registry() -> None:
    """Word marks and figures alike, so that nothing is missed for want of a brand."""
    known = {brand.id for brand in REGISTRY.brands} | {marks.NONE}
    named = {row["brand"] for row in ROWS} | {row["figurative"] for row in ROWS} - {""}
    assert named <= known


def test_the_registry_is_large_and_unambiguous() -> None:
    """At least 300 brands; no id, reference or spelling stands for two of them."""
    references = Counter(word.reference_id for brand in REGISTRY.brands for word in brand.words)
    spellings = {
        (text.casefold(), brand.id)
        for brand in REGISTRY.brands
        for word in brand.words
        for text in (word.text, *word.variants)
    }
    assert len({brand.id for brand in REGISTRY.brands}) == len(REGISTRY.brands) >= 300
    assert max(references.values()) == 1
    assert max(Counter(text for text, _ in spellings).values()) == 1
    assert all(brand.words and brand.display_name for brand in REGISTRY.brands)


def test_the_registry_passes_the_gateways_lint() -> None:
    """What is measured with could be put in force."""
    assert [str(fault) for fault in lint.faults(REGISTRY)] == []


def test_lines_are_consistent() -> None:
    """A photograph with a legible brand is not also one without any, and no line stands twice."""
    assert len({tuple(row.values()) for row in ROWS}) == len(ROWS)
    assert {row["note"] for row in ROWS} <= {"", marks.UNCERTAIN}
    legible = [row["brand"] != marks.NONE and not row["note"] for row in ROWS]
    assert [bool(row["letters"]) for row in ROWS] == legible
    by_file: dict[str, list[str]] = {}
    for row in ROWS:
        by_file.setdefault(row["file"], []).append(row["brand"])
    assert all(len(brands) == 1 for brands in by_file.values() if marks.NONE in brands)
    assert len(by_file) >= 450


def test_the_photographs_are_those_that_are_chosen() -> None:
    """Each is in the dataset, and the choice is the one that the code makes."""
    folder = photographs_folder()
    if folder is None:
        pytest.skip("no photographs: set OSTIARY_PHOTOS to a folder with labels.csv")
    photographs = read_photographs(folder / "labels.csv")
    assert {row["file"] for row in ROWS} == {photograph.file for photograph in chosen(photographs)}


def test_senders_and_categories_have_their_share() -> None:
    """No sender has two photographs of a category before every other has one; small categories have ten."""
    many = [Photograph(f"hat/{number}.jpg", "hat", str(number % 7)) for number in range(400)]
    few = [Photograph(f"top/{number}.jpg", "top", str(number % 3)) for number in range(12)]
    found = chosen([*many, *few], count=40)
    hats = Counter(each.sender for each in found if each.label == "hat")
    assert max(hats.values()) - min(hats.values()) <= 1
    assert sum(each.label == "top" for each in found) == 10
    assert found == chosen([*few, *many], count=40)


def test_uncertain_lines_count_on_neither_side(tmp_path: Path) -> None:
    """Neither a brand that can hardly be read nor one that is there as a figure is right or wrong."""
    path = tmp_path / "brands.csv"
    path.write_text(
        "file,brand,figurative,note,letters\n"
        "a.jpg,zara,,,20\n"
        "b.jpg,gap,,uncertain,\n"
        "c.jpg,none,nike,,\n"
        "d.jpg,none,,,\n"
        "e.jpg,none,,uncertain,\n"
        "f.jpg,puma,puma,,9\n"
        "f.jpg,reebok,,uncertain,\n"
    )
    named = {"a.jpg": [], "b.jpg": ["gap"], "c.jpg": ["nike"], "d.jpg": ["zara"], "e.jpg": ["zara"]}
    named |= {"f.jpg": ["puma", "gap"]}
    seen = marks.labels(path)
    tally = marks.tally(named, seen)
    assert tally.found == [("f.jpg", "puma")]
    assert tally.missed == [("a.jpg", "zara")]
    assert tally.wrong == [("d.jpg", "zara"), ("f.jpg", "gap")]
    assert tally.unclear == [("b.jpg", "gap"), ("c.jpg", "nike"), ("e.jpg", "zara")]
    rows, listed, bars = summary.marks(tally, seen, named, 500)
    figures = {row["what"]: (row["hits"], row["n"]) for row in rows}
    assert figures["recall, capitals in pixels: 8 to 12"] == (1, 1)
    assert figures["recall, capitals in pixels: from 12"] == (0, 1)
    assert figures["hardly legible, named all the same"] == (2, 3)
    assert [bar.value for bar in bars] == [0.5, pytest.approx(1 / 3)]
    assert [row["what"] for row in listed].count("unclear") == 3


def test_a_brand_is_named_from_where_the_policy_asks() -> None:
    """What is less likely, or matched by its shape, is no word mark that was read."""
    candidates = [
        BrandCandidate(brand="zara", kind="word", score=0.5),
        BrandCandidate(brand="gap", kind="word", score=0.49),
        BrandCandidate(brand="puma", kind="figurative", score=0.9),
    ]
    assert marks.word_marks(candidates) == ["zara"]
