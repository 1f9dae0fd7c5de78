"""Photographs with labels, split by who sent them: one sender's photos share rooms, floors and garments."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

CATEGORIES = (
    "blazer", "blouse", "body", "dress", "hat", "hoodie", "longsleeve", "outwear", "pants", "polo", "shirt",
    "shoes", "shorts", "skirt", "t-shirt", "top", "undershirt",
)  # fmt: skip
COLOURS = (
    "black", "white", "grey", "red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "beige",
)  # fmt: skip
PATTERNS = ("plain", "striped", "checked", "dotted", "floral", "graphic", "other")
AUDIENCES = ("adults", "kids")
_RARE_PATTERNS = {"animal": "other", "camouflage": "other"}  # too few to learn


@dataclass(frozen=True)
class Photo:
    """One photograph. Each label is one of the tuple that is named after it."""

    path: Path
    category: str
    colour: str
    pattern: str
    audience: str
    sender: str


class Sent(Protocol):
    """Anything that somebody sent."""

    @property
    def sender(self) -> str:
        """Who."""


P = TypeVar("P", bound=Sent)


@dataclass(frozen=True)
class Split(Generic[P]):
    """Photographs by purpose; no sender is in two parts. `calibration` and `test` are both held out from
    training.
    """

    train: tuple[P, ...]
    calibration: tuple[P, ...]
    test: tuple[P, ...]


def read_photos(folder: Path, colours: Path) -> tuple[Photo, ...]:
    """Reads `labels.csv` (file, label, kids, sender) of the folder, and `colours` (file, colour, pattern).

    Raises ValueError in words when one is missing, odd, or has no row for a photograph.
    """
    index = folder / "labels.csv"
    rows = _rows(index, "--photos needs a folder with labels.csv (file, label, kids, sender)")
    looks = {
        row["file"]: row
        for row in _rows(colours, "--colours needs a CSV with the columns file,colour,pattern")
    }
    photos = tuple(_photo(folder, row, looks.get(row["file"])) for row in rows)
    if len({photo.sender for photo in photos}) < 3:
        raise ValueError(f"{index}: photos of at least three senders are needed to hold two groups out")
    return photos


def _rows(path: Path, words: str) -> list[dict[str, str]]:
    if not path.is_file():
        raise ValueError(f"{path}: missing; {words}")
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def _photo(folder: Path, row: Mapping[str, str], look: Mapping[str, str] | None) -> Photo:
    file = row["file"]
    if look is None:
        raise ValueError(
            f"{file}: its colour and pattern are missing; add a row to the file that --colours names"
        )
    pattern = _RARE_PATTERNS.get(look["pattern"], look["pattern"])
    for value, known in ((row["label"], CATEGORIES), (look["colour"], COLOURS), (pattern, PATTERNS)):
        if value not in known:
            raise ValueError(f"{file}: unknown label {value!r}; known are {', '.join(known)}")
    audience = AUDIENCES[row["kids"] == "True"]
    return Photo(folder / file, row["label"], look["colour"], pattern, audience, row["sender"])


def split_by_sender(photos: tuple[P, ...], test: float = 0.13, calibration: float = 0.07) -> Split[P]:
    """Holds out about these shares of the photos, whole senders at a time.

    Senders go by the order of their hashes, so that the split depends on nothing but their names. The largest
    senders (more than an eighth of all photos) always train: one of them would be a whole held-out group by
    itself.
    """
    by_sender: dict[str, list[P]] = {}
    for photo in photos:
        by_sender.setdefault(photo.sender, []).append(photo)
    order = sorted(by_sender, key=lambda name: hashlib.sha256(name.encode()).digest())
    parts: dict[str, list[P]] = {"test": [], "calibration": [], "train": []}
    room = {"test": test * len(photos), "calibration": calibration * len(photos)}
    for sender in order:
        small = len(by_sender[sender]) * 8 <= len(photos) or len(by_sender) < 8
        open_parts = [name for name in room if small and len(parts[name]) < room[name]]
        parts[open_parts[0] if open_parts else "train"].extend(by_sender[sender])
    if not all(parts.values()):
        raise ValueError("too few photos of different senders to hold two groups of senders out")
    return Split(tuple(parts["train"]), tuple(parts["calibration"]), tuple(parts["test"]))
