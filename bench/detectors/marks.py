"""Word marks on photographs, beside what somebody read on them."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from google.protobuf import json_format

from bench.detectors import looking
from ostiary.v1.config_pb2 import BrandRegistry
from ostiary.v1.inference_pb2 import GalleryMark
from ostiary.v1.observation_pb2 import BrandCandidate, Observations
from ostiary_moderation.detector import DecodedImage, Detections, GalleryDetector
from ostiary_moderation.evaluation.photos import open_upright

DATA = Path(__file__).resolve().parents[2] / "tests/data"
NONE = "none"
UNCERTAIN = "uncertain"
ASKS_FROM = 0.5
"""The score from which the shipped policy asks a person about a brand."""


@dataclass(frozen=True)
class Seen:
    """What somebody saw on a photograph, as brand ids.

    `words`: word marks that can be read, and about how high their capitals are in pixels. `unclear`: those
    that can hardly be read, and brands that are there as figures only: who names them is neither right nor
    wrong. `legible`: whether every text that could be a brand's can be read; where not, another brand may be
    there.
    """

    words: Mapping[str, int]
    unclear: frozenset[str]
    legible: bool


@dataclass
class Tally:
    """Brands found and missed, and named where they are not; pairs of file and brand."""

    found: list[tuple[str, str]] = field(default_factory=list)
    missed: list[tuple[str, str]] = field(default_factory=list)
    wrong: list[tuple[str, str]] = field(default_factory=list)
    unclear: list[tuple[str, str]] = field(default_factory=list)


def labels(path: Path = DATA / "brands.csv") -> dict[str, Seen]:
    """What was seen, by file."""
    rows: dict[str, list[Mapping[str, str]]] = {}
    with path.open(newline="", encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            rows.setdefault(row["file"], []).append(row)
    return {file: _seen(lines) for file, lines in rows.items()}


def registry(path: Path = DATA / "brand-registry.yaml") -> BrandRegistry:
    """The brands that are looked for."""
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    return json_format.ParseDict(document, BrandRegistry())


def gallery(brands: BrandRegistry) -> list[GalleryMark]:
    """The registry's word marks, as gateways send them to pods."""
    return [
        GalleryMark(brand=brand.id, reference_id=word.reference_id, words=[word.text, *word.variants])
        for brand in brands.brands
        for word in brand.words
    ]


def named(
    folder: Path, records: Iterable[Mapping[str, Any]], brands: BrandRegistry, bundle: str
) -> dict[str, list[BrandCandidate]]:
    """What the pod's logo detector names on each photograph, from the text that was read there."""
    *_, detector = looking.detectors(("ocr", "logo"), bundle)
    assert isinstance(detector, GalleryDetector)
    prepared = detector.prepare(gallery(brands))
    found = {}
    for record in records:
        file = record["facts"]["file"]
        read = json_format.ParseDict(record["seen"], Observations()).ocr
        image = DecodedImage(0, 0, open_upright(folder / file))
        found[file] = list(prepared.detect([image], Detections(ocr=tuple(read))).brands)
    return found


def tally(named_by_file: Mapping[str, Sequence[str]], seen: Mapping[str, Seen]) -> Tally:
    """Each brand that was named or seen, in the place where it belongs."""
    result = Tally()
    for file, brands in sorted(named_by_file.items()):
        truth = seen[file]
        for brand in sorted(set(brands) | set(truth.words)):
            if brand in truth.words:
                (result.found if brand in brands else result.missed).append((file, brand))
            elif brand in truth.unclear or not truth.legible:
                result.unclear.append((file, brand))
            else:
                result.wrong.append((file, brand))
    return result


def word_marks(candidates: Iterable[BrandCandidate]) -> list[str]:
    """Brands whose word mark was read, with as much certainty as the shipped policy asks for."""
    return [one.brand for one in candidates if one.kind == "word" and one.score >= ASKS_FROM]


def _seen(rows: Sequence[Mapping[str, str]]) -> Seen:
    brands = [(row["brand"], row["note"] == UNCERTAIN) for row in rows if row["brand"] != NONE]
    figures = {row["figurative"] for row in rows if row["figurative"]}
    words = {row["brand"]: int(row["letters"]) for row in rows if row["letters"]}
    unclear = {brand for brand, uncertain in brands if uncertain} | figures
    unknown = any(row["brand"] == NONE and row["note"] == UNCERTAIN for row in rows)
    return Seen(words, frozenset(unclear - set(words)), not unknown)
