"""Photographs with the labels that a bundle's answers are compared with."""

from __future__ import annotations

import csv
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

# Column of labels.csv → the attribute that it is the truth of. `kids` is True or False.
_COLUMNS = {"label": "category", "colour": "colour", "pattern": "pattern", "kids": "audience"}
_AUDIENCE = {"true": "kids", "false": "adults"}


@dataclass(frozen=True)
class LabelledPhoto:
    """One photograph. `file`: as the index names it. `labels`: attribute → true value, where it is known."""

    path: Path
    file: str
    sender: str
    labels: Mapping[str, str]


def read_labelled(folder: Path, colours: Path | None = None) -> tuple[LabelledPhoto, ...]:
    """Reads `labels.csv` (file, label, kids, sender; colour and pattern where they are there).

    `colours`: a CSV of file and colour, and pattern where it is there, which adds labels. Raises ValueError,
    in words, for an index that is missing or names files that are not there.
    """
    index = folder / "labels.csv"
    more = {row["file"]: _labels(row) for row in read_rows(colours, {"file", "colour"})} if colours else {}
    photos = tuple(
        LabelledPhoto(
            folder / row["file"],
            row["file"],
            row.get("sender") or row["file"],
            {**_labels(row), **more.pop(row["file"], {})},
        )
        for row in read_rows(index, {"file"})
    )
    if missing := next((photo.path for photo in photos if not photo.path.is_file()), None):
        raise ValueError(f"{index}: names {missing.name}, but {missing} is not there")
    if more:
        raise ValueError(
            f"{colours}: {next(iter(more))} is not in {index}; give the file as it is named there"
        )
    return photos


def held_out_senders(bundle_folder: Path) -> frozenset[str]:
    """Senders that a bundle never learnt from, as its evaluation.json lists them. Raises ValueError when it
    lists none.
    """
    path = bundle_folder / "evaluation.json"
    try:
        senders = json.loads(path.read_text("utf-8"))["held_out_senders"]
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(
            f"{path}: lists no held_out_senders; say --senders all, knowing that it may have learnt from them"
        ) from error
    return frozenset(str(sender) for sender in senders)


def of_senders(photos: Collection[LabelledPhoto], senders: Collection[str]) -> tuple[LabelledPhoto, ...]:
    """The photographs of some senders. Raises ValueError when there are none."""
    chosen = tuple(photo for photo in photos if photo.sender in senders)
    if not chosen:
        raise ValueError("no photograph is of a sender that the bundle never learnt from")
    return chosen


def open_upright(path: Path) -> NDArray[np.uint8]:
    """A photograph's pixels as a pod would see them: H × W × 3, sRGB, turned as its camera says."""
    with Image.open(path) as image:
        return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))


def read_rows(path: Path, needed: Collection[str]) -> Iterator[dict[str, str]]:
    """The rows of a CSV file. Raises ValueError, in words, when it is missing or lacks a column."""
    if not path.is_file():
        raise ValueError(f"{path}: missing; give a CSV file with the columns {', '.join(sorted(needed))}")
    with path.open(newline="", encoding="utf-8-sig") as stream:
        reader = csv.DictReader(stream)
        if lacking := sorted(set(needed) - set(reader.fieldnames or ())):
            raise ValueError(f"{path}: no column {', '.join(lacking)}")
        yield from reader


def _labels(row: Mapping[str, str]) -> dict[str, str]:
    given = {name: (row.get(column) or "").strip() for column, name in _COLUMNS.items()}
    given["audience"] = _AUDIENCE.get(given["audience"].lower(), "")
    return {name: value for name, value in given.items() if value}
