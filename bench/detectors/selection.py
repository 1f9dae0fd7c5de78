"""Which photographs were looked at for brands: of each category its share, spread over all senders."""

from __future__ import annotations

import csv
import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

SEED = 4
COUNT = 760
_LEAST = 10


@dataclass(frozen=True)
class Photograph:
    """A line of `labels.csv`."""

    file: str
    label: str
    sender: str


def read_photographs(path: Path) -> list[Photograph]:
    """The photographs that `labels.csv` names, in its order."""
    with path.open(newline="", encoding="utf-8") as stream:
        return [Photograph(row["file"], row["label"], row["sender"]) for row in csv.DictReader(stream)]


def chosen(photographs: Sequence[Photograph], count: int = COUNT, seed: int = SEED) -> list[Photograph]:
    """About `count` of them: each category has its share, at least ten, and its senders take turns."""
    categories = defaultdict(list)
    for photograph in photographs:
        categories[photograph.label].append(photograph)
    found: list[Photograph] = []
    for label, members in sorted(categories.items()):
        quota = max(_LEAST, round(count * len(members) / len(photographs)))
        found += _in_turn(members, random.Random(f"{seed} {label}"))[:quota]
    return sorted(found, key=lambda each: each.file)


def _in_turn(members: Iterable[Photograph], source: random.Random) -> list[Photograph]:
    """One of each sender, then a second one of each, and so on; both in random order."""
    senders = defaultdict(list)
    for each in sorted(members, key=lambda each: each.file):
        senders[each.sender].append(each)
    order = source.sample(sorted(senders), len(senders))
    ranked = [
        (turn, place, each)
        for place, sender in enumerate(order)
        for turn, each in enumerate(source.sample(senders[sender], len(senders[sender])))
    ]
    return [each for _, _, each in sorted(ranked, key=lambda one: one[:2])]
