"""How long it takes to compare what stands in an image with many word marks: `python -m bench.wordmarks`.

Brands are made up of syllables, one to three words each; images hold 60 pieces of print, of ordinary words,
with a mark now and then: as it is, with a digit for a letter, with a letter doubled, or in two lines. Every
mark that is put in is looked for in what is found. Times are of the processor, so that other work on the
machine counts little. Writes `bench/results/wordmarks.json`.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from itertools import cycle, islice
from statistics import median, quantiles
from typing import Any

from bench.performance import rewrite
from bench.report import Bar, Report, installed, show, write
from ostiary_moderation.wordmarks.layout import Box, Line
from ostiary_moderation.wordmarks.matcher import Matcher
from ostiary_moderation.wordmarks.spelling import Spelling

BAR_MS = 5.0
BRANDS = (300, 3_000, 10_000)
JUDGED = 3_000
SPANS = 60
_SIDE = 1_000
_PAGES = 40
_ROUNDS = 200
_SYLLABLES = (
    *("ka", "lo", "mi", "ner", "tos", "vel", "ru", "zan", "pi", "gor", "este"),
    *("uli", "fra", "bo", "xen", "dar", "shi", "que", "len", "vo", "tri", "as"),
)
_STAND_INS = {"o": "0", "i": "1", "e": "3", "a": "4", "s": "5"}


@dataclass(frozen=True)
class Page:
    """Lines of an image, and the brands that stand in them."""

    lines: tuple[Line, ...]
    brands: frozenset[str]


def made_brands(count: int, seed: int = 7) -> list[str]:
    """Different names of one to three words."""
    source = random.Random(seed)
    names: dict[str, None] = {}
    while len(names) < count:
        names[" ".join(_word(source) for _ in range(source.choice((1, 1, 1, 2, 2, 3))))] = None
    return list(names)


def pages(brands: Sequence[str], count: int, spans: int = SPANS, seed: int = 3) -> list[Page]:
    """Images with `spans` pieces of print in three columns, every tenth of them a mark."""
    source = random.Random(seed)
    known = files("ostiary_moderation.wordmarks").joinpath("common.txt").read_text("utf-8")
    vocabulary = [word for word in known.split() if word.isascii() and word.isalpha()]
    return [_page(brands, vocabulary, spans, source) for _ in range(count)]


def rows(counts: Sequence[int], rounds: int = _ROUNDS) -> list[dict[str, Any]]:
    """One row for each number of brands.

    Raises:
        AssertionError: a mark that stands in an image was not found.
    """
    found = []
    for count in counts:
        brands = made_brands(count)
        started = time.thread_time()
        matcher = Matcher([Spelling.of(brand, brand, brand) for brand in brands], min_score=0.2)
        seconds = time.thread_time() - started
        shown = pages(brands, _PAGES)
        for page in shown:
            missed = page.brands - {each.brand for each in matcher.find(page.lines, _SIDE, _SIDE)}
            assert not missed, missed
        taken = []
        for page in islice(cycle(shown), rounds):
            started = time.thread_time()
            matcher.find(page.lines, _SIDE, _SIDE)
            taken.append((time.thread_time() - started) * 1_000)
        row = {"brands": count, "spans": SPANS, "prepare_cpu_s": seconds}
        found.append({**row, "cpu_ms_median": median(taken), "cpu_ms_p99": quantiles(taken, n=100)[98]})
    return found


def report(found: Sequence[dict[str, Any]], settings: dict[str, Any]) -> Report:
    """Rows with the bar: 60 pieces of print by 3,000 brands in at most 5 ms."""
    judged = [row["cpu_ms_median"] for row in found if row["brands"] == JUDGED]
    bar = Bar(
        "word marks: processor ms per image, 3,000 brands", judged[0] if judged else None, BAR_MS, "at most"
    )
    return Report("wordmarks", found, [bar], settings, installed(["ostiary"]))


def _word(source: random.Random) -> str:
    return "".join(source.choices(_SYLLABLES, k=source.randint(2, 4)))


def _page(brands: Sequence[str], vocabulary: Sequence[str], spans: int, source: random.Random) -> Page:
    lines: list[Line] = []
    shown: set[str] = set()
    for number in range(spans):
        text = " ".join(source.choices(vocabulary, k=source.randint(1, 4)))
        if number % 10 == 0:
            brand = source.choice(brands)
            shown.add(brand)
            text = _spelt(brand, source)
        column, row = number % 3, number // 3
        left, top = 10 + 330 * column, 10 + 48 * row
        pieces = text.split("\n")
        for place, piece in enumerate(pieces):
            size = 20 // len(pieces)
            box = Box(
                left, top + place * size, left + min(300, 0.6 * size * len(piece)), top + (place + 1) * size
            )
            lines.append(Line(piece.upper(), 0.97, box))
    return Page(tuple(lines), frozenset(shown))


def _spelt(brand: str, source: random.Random) -> str:
    """The brand as it may stand there."""
    way = source.randrange(4)
    place = source.randrange(1, len(brand))
    if way == 1 and " " in brand:
        first, _, rest = brand.partition(" ")
        return f"{first}\n{rest}"
    if way == 2 and len(brand) > 5:
        return brand[:place] + _STAND_INS.get(brand[place], brand[place]) + brand[place + 1 :]
    if way == 3 and len(brand) > 5:
        return brand[:place] + brand[place] + brand[place:]
    return brand


def main() -> int:
    """Run, print and write; 1 where the bar is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--rounds", type=int, default=_ROUNDS, help="images compared per row (200)")
    options = parser.parse_args()
    result = report(rows(BRANDS, options.rounds), vars(options))
    show(result)
    print(f"written to {write(result)}")
    rewrite()
    return 0 if all(bar.met for bar in result.bars) else 1


if __name__ == "__main__":
    sys.exit(main())
