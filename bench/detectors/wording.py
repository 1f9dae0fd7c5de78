"""The texts that are laid over photographs: prohibited by label and language, lawful by kind."""

from __future__ import annotations

import random
import re
import string
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

LANGUAGES = ("zh", "en")
_TEXTS = Path(__file__).with_name("texts.yaml")
_WORDS = (
    "luna",
    "nova",
    "vivi",
    "mori",
    "taozi",
    "xiaoyu",
    "kiki",
    "dora",
    "amber",
    "qingqing",
    "felix",
    "sunny",
)
_PREFIXES = ("130", "135", "138", "150", "158", "177", "186", "199")


@dataclass(frozen=True)
class Text:
    """Lines to lay over a photograph. `group`: the label they must be found under, or the kind of lawful
    text. `language`: `zh` or `en`."""

    lines: tuple[str, ...]
    group: str
    language: str
    prohibited: bool


@cache
def written() -> Mapping[str, Any]:
    """The file of texts, as it stands."""
    document: Mapping[str, Any] = yaml.safe_load(_TEXTS.read_text(encoding="utf-8"))
    return document


def labels() -> tuple[str, ...]:
    """Labels that texts are prohibited under."""
    return tuple(written()["prohibited"])


def prohibited(source: random.Random, number: int) -> Text:
    """The text of one advert: labels and languages take turns; now and then a lawful line is beside it."""
    label, language = labels()[number % len(labels())], LANGUAGES[number // len(labels()) % 2]
    lines = _lines(source, source.choice(written()["prohibited"][label][language]))
    if source.random() < 0.3:
        beside = _lines(source, source.choice(_beside(language)))
        lines = [*beside, *lines] if source.random() < 0.5 else [*lines, *beside]
    return Text(tuple(lines), label, language, prohibited=True)


def lawful(source: random.Random, number: int) -> Text:
    """One lawful text: kinds take turns; in a fifth of them, two texts of the kind stand together."""
    kinds = tuple(written()["lawful"])
    kind = kinds[number % len(kinds)]
    count = 2 if source.random() < 0.2 else 1
    chosen = source.sample(written()["lawful"][kind], count)
    lines = [line for text in chosen for line in _lines(source, text)]
    return Text(tuple(lines), kind, "en" if "".join(lines).isascii() else "zh", prohibited=False)


def statements() -> Iterator[str]:
    """Every text of the file in which nothing is made up."""
    by_label = written()["prohibited"].values()
    texts = [text for languages in by_label for texts in languages.values() for text in texts]
    texts += [text for texts in written()["lawful"].values() for text in texts]
    return (text for text in texts if "{" not in text)


def handle(source: random.Random) -> str:
    """A name in a chat: `taozi_886`."""
    name = source.choice(_WORDS) + source.choice(["", "_", ".", ""]) + source.choice(["", *_WORDS])
    return name.rstrip("_.") + _digits(source, source.randint(2, 4))


def phone_cn(source: random.Random) -> str:
    """A Chinese mobile number, with or without gaps."""
    gap = source.choice(["", "", " ", "-"])
    return gap.join((source.choice(_PREFIXES), _digits(source, 4), _digits(source, 4)))


def phone(source: random.Random) -> str:
    """A number in one of the forms that are common outside China."""
    area, first = source.randint(201, 989), source.randint(200, 999)
    return source.choice([
        f"+1 {area} {first} {_digits(source, 4)}",
        f"({area}) {first}-{_digits(source, 4)}",
        f"{area}-{first}-{_digits(source, 4)}",
        f"+44 7{_digits(source, 3)} {_digits(source, 6)}",
        f"+380 {source.randint(50, 99)} {_digits(source, 3)} {_digits(source, 4)}",
        f"+49 15{source.randint(1, 9)} {_digits(source, 8)}",
    ])  # fmt: skip


def site(source: random.Random) -> str:
    """A domain."""
    name = (
        source.choice(_WORDS)
        + source.choice(["", "-", ""])
        + source.choice(["shop", "store", "wear", "bags"])
    )
    return f"{name}.{source.choice(['com', 'shop', 'net', 'store', 'cn', 'co.uk'])}"


def _digits(source: random.Random, count: int) -> str:
    return "".join(source.choices(string.digits, k=count))


def _date(source: random.Random) -> str:
    day, month, year = source.randint(1, 28), source.randint(1, 12), source.randint(2012, 2025)
    forms = (f"{year}/{month}/{day}", f"{day:02}.{month:02}.{year}", f"{year}-{month:02}-{day:02}")
    return source.choice(forms)


_MADE_UP: Mapping[str, Callable[[random.Random], str]] = {
    "handle": handle,
    "phone_cn": phone_cn,
    "phone": phone,
    "site": site,
    "price": lambda source: source.choice([f"{source.randint(9, 999)}", f"{source.randint(5, 199)}.90"]),
    "year": lambda source: str(source.randint(1962, 2026)),
    "date": _date,
    "time": lambda source: f"{source.randint(6, 22):02}:{source.randint(0, 59):02}",
    "n": lambda source: str(source.randint(2, 99)),
    "n2": lambda source: str(source.randint(100, 300)),
}


def _lines(source: random.Random, text: str) -> list[str]:
    def filled(match: re.Match[str]) -> str:
        name = match[1]
        if name.startswith("digits"):
            return str(source.randint(1, 9)) + _digits(source, int(name.removeprefix("digits")) - 1)
        return _MADE_UP[name](source)

    return re.sub(r"\{(\w+)\}", filled, text).split("|")


def _beside(language: str) -> Sequence[str]:
    return [text for text in written()["lawful"]["offer"] if text.isascii() == (language == "en")]
