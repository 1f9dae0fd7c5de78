"""Photographs with labels, split by who sent them: one sender's photos share rooms, floors and garments."""

from __future__ import annotations

import csv
import hashlib
from dataclasses import dataclass
from pathlib import Path

CATEGORIES = (
    "blazer", "blouse", "body", "dress", "hat", "hoodie", "longsleeve", "outwear", "pants", "polo", "shirt",
    "shoes", "shorts", "skirt", "t-shirt", "top", "undershirt",
)  # fmt: skip
AUDIENCES = ("adults", "kids")


@dataclass(frozen=True)
class Photo:
    """One photograph. `category` is one of CATEGORIES, `audience` one of AUDIENCES."""

    path: Path
    category: str
    audience: str
    sender: str


@dataclass(frozen=True)
class Split:
    """Photographs by purpose; no sender is in two parts. `calibration` and `test` are both held out from
    training.
    """

    train: tuple[Photo, ...]
    calibration: tuple[Photo, ...]
    test: tuple[Photo, ...]


def read_photos(folder: Path) -> tuple[Photo, ...]:
    """Reads `labels.csv` (file, label, kids, sender). Raises ValueError in words when it is missing or
    odd.
    """
    index = folder / "labels.csv"
    if not index.is_file():
        raise ValueError(
            f"{index}: missing; --photos needs a folder with labels.csv (file, label, kids, sender)"
        )
    with index.open(newline="", encoding="utf-8") as stream:
        photos = tuple(_photo(folder, row) for row in csv.DictReader(stream))
    if len({photo.sender for photo in photos}) < 3:
        raise ValueError(f"{index}: photos of at least three senders are needed to hold two groups out")
    return photos


def _photo(folder: Path, row: dict[str, str]) -> Photo:
    if row["label"] not in CATEGORIES:
        raise ValueError(f"labels.csv: unknown label {row['label']!r} for {row['file']}")
    audience = "kids" if row["kids"] == "True" else "adults"
    return Photo(folder / row["file"], row["label"], audience, row["sender"])


def split_by_sender(photos: tuple[Photo, ...], held_out: float = 0.22) -> Split:
    """Holds out about `held_out` of the photos, whole senders at a time, halved into calibration and test.

    Senders go by the order of their hashes, so that the split depends on nothing but their names. The largest
    senders (more than an eighth of all photos) always train: one of them would be a whole held-out group by
    itself.
    """
    by_sender: dict[str, list[Photo]] = {}
    for photo in photos:
        by_sender.setdefault(photo.sender, []).append(photo)
    order = sorted(by_sender, key=lambda name: hashlib.sha256(name.encode()).digest())
    parts: tuple[list[Photo], list[Photo], list[Photo]] = ([], [], [])
    for sender in order:
        small = len(by_sender[sender]) * 8 <= len(photos) or len(by_sender) < 8
        shortest = 1 if len(parts[1]) <= len(parts[2]) else 2
        room = small and len(parts[1]) + len(parts[2]) < held_out * len(photos)
        parts[shortest if room else 0].extend(by_sender[sender])
    train, calibration, test = (tuple(part) for part in parts)
    if not (train and calibration and test):
        raise ValueError("too few photos of different senders to hold two groups of senders out")
    return Split(train, calibration, test)
