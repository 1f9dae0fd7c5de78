"""The examples of an evaluation: each photograph as it is, with a prohibited and with a benign overlay."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ostiary_moderation.bundle import Manifest
from ostiary_moderation.evaluation.overlays import Overlays
from ostiary_moderation.evaluation.photos import LabelledPhoto, open_upright, read_rows

_ANSWERS = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}


@dataclass(frozen=True)
class Example:
    """One picture to look at, and what is true of it.

    `group`: examples of one group are no independent evidence. `flags`: whether a policy label holds, for the
    labels that are known. `attributes`: true values, for those known. `pixels` draws it: H × W × 3, sRGB.
    """

    group: str
    untouched: bool
    flags: Mapping[str, bool]
    pixels: Callable[[], NDArray[np.uint8]]
    attributes: Mapping[str, str] = field(default_factory=dict)


def judged_labels(manifest: Manifest, overlays: Overlays) -> tuple[str, ...]:
    """Labels that the bundle has a question for and that can be drawn, in the manifest's order."""
    asked = dict.fromkeys(question.label for question in manifest.questions)
    return tuple(label for label in asked if label in overlays.kinds)


def make_examples(
    photos: Sequence[LabelledPhoto], labels: Sequence[str], overlays: Overlays, seed: int
) -> Iterator[Example]:
    """Three examples a photograph: untouched, with one prohibited overlay, and with a benign one.

    The kinds take turns from photograph to photograph. What is drawn depends on the seed and the file's name
    alone, so that a part of the photographs gives the same examples as all of them.
    """
    for photo in photos:
        draw = random.Random(f"{seed}/{photo.file}")  # noqa: S311 - drawing needs no secrets
        none = dict.fromkeys(labels, False)
        yield Example(photo.file, True, none, _untouched(overlays, photo), photo.labels)
        if not labels:
            continue
        kind = draw.choice(labels)
        flags = {label: label == kind for label in labels}
        yield Example(photo.file, False, flags, _drawn(overlays, photo, kind, draw.random()))
        yield Example(photo.file, False, none, _drawn(overlays, photo, None, draw.random()))


def read_answers(path: Path, manifest: Manifest) -> list[Example]:
    """Examples from a CSV of file (relative to it), question and label (yes or no).

    Raises ValueError, in words, for a row that names no image, question or answer.
    """
    labels = {question.id: question.label for question in manifest.questions}
    known: dict[Path, dict[str, bool]] = {}
    for row in read_rows(path, {"file", "question", "label"}):
        image, answer = path.parent / row["file"], _ANSWERS.get(row["label"].strip().lower())
        if row["question"] not in labels or answer is None or not image.is_file():
            raise ValueError(
                f"{path}: {row['file']}, {row['question']}, {row['label']}: give an image that is there, one "
                f"of the questions {', '.join(labels)}, and yes or no"
            )
        known.setdefault(image, {})[labels[row["question"]]] = answer
    return [Example(str(image), False, flags, _opened(image)) for image, flags in known.items()]


def _opened(path: Path) -> Callable[[], NDArray[np.uint8]]:
    return lambda: open_upright(path)


def _untouched(overlays: Overlays, photo: LabelledPhoto) -> Callable[[], NDArray[np.uint8]]:
    return lambda: overlays.untouched(photo)


def _drawn(
    overlays: Overlays, photo: LabelledPhoto, kind: str | None, seed: float
) -> Callable[[], NDArray[np.uint8]]:
    # Of its own, so that what another overlay drew does not matter.
    return lambda: overlays.draw(random.Random(seed), photo, kind)  # noqa: S311
