"""What figures of an evaluation have to be, for a gate to let a bundle through. Pure."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_BOUND = re.compile(r"([^=/]+(?:/[^=/]+)+)=([0-9.]+)")
_MOST_BYTES = 4096
"""Of a container's termination message, in which Kubernetes carries a report."""


@dataclass(frozen=True)
class Bound:
    """`figure`: NAME/FIGURE of an attribute or a policy, with a value or a question between them where it has
    some: `category/top1`, `category/recall/dress`, `prohibited_ads/qr_code/auroc`. `least`: whether `number`
    is the least that it may be, or the most.
    """

    figure: str
    number: float
    least: bool

    @classmethod
    def parse(cls, text: str, *, least: bool) -> Bound:
        """`category/top1=0.7`. Raises ValueError."""
        option = "--at-least" if least else "--at-most"
        match = _BOUND.fullmatch(text.strip())
        try:
            if match is None:
                raise ValueError("FIGURE=NUMBER is expected")  # told with its option
            number = float(match[2])
        except ValueError as error:
            example = "category/top1=0.7" if least else "prohibited_ads/ece=0.1"
            raise ValueError(f"{option}: {text!r}: {error}; say, for example, {example}") from None
        return cls(match[1], number, least)


@dataclass(frozen=True)
class Held:
    """A bound beside what was measured. `low`, `high`: the 95% interval; equal where there is none."""

    bound: Bound
    value: float
    low: float
    high: float
    n: int | None

    @property
    def holds(self) -> bool:
        """Whether the figure is what it has to be."""
        within = self.value >= self.bound.number if self.bound.least else self.value <= self.bound.number
        return within and math.isfinite(self.value)

    def __str__(self) -> str:
        interval = f" [{self.low:.3f}, {self.high:.3f}]" if self.n is not None else ""
        of = f" of {self.n}" if self.n is not None else ""
        which = "at least" if self.bound.least else "at most"
        return (
            f"{self.bound.figure} {self.value:.3f}{interval}{of}, {which} {self.bound.number:g} is asked for"
        )


def held_against(document: Mapping[str, Any], bounds: Sequence[Bound]) -> list[Held]:
    """Each bound with its figure of a report (as `Report.to_json` has it).

    Raises ValueError for a figure that was not measured, and names those that were.
    """
    return [_held(document, bound) for bound in bounds]


def _held(document: Mapping[str, Any], bound: Bound) -> Held:
    name, *path = bound.figure.split("/")
    found: Any = document["attributes"].get(name) or document["policies"].get(name)
    if isinstance(found, Mapping) and path[0] in found.get("questions", ()):
        found = found["questions"]
    for word in path:
        found = found.get(word) if isinstance(found, Mapping) else None
    if isinstance(found, Mapping) and "value" in found:
        return Held(bound, found["value"], found["low"], found["high"], found["n"])
    if isinstance(found, int | float):
        return Held(bound, float(found), float(found), float(found), None)
    known = ", ".join(sorted({*document["attributes"], *document["policies"]}))
    raise ValueError(f"{bound.figure} was not measured: figures are of {known}; --json shows them all")


def gate_report(document: Mapping[str, Any], held: Sequence[Held]) -> str:
    """One JSON object of at most 4,096 bytes: `passed`, `words` for people, and what was measured on what."""
    wrong = [one for one in held if not one.holds]
    # What does not hold comes first, should there not be room for everything.
    told = [*wrong, *(one for one in held if one.holds)]
    report = {
        "passed": not wrong,
        "words": "; ".join(map(str, told)) or "nothing was asked for",
        "bundle": document["bundle"]["digest"],
        "photos": document["photos"],
    }
    over = len(json.dumps(report)) - _MOST_BYTES
    if over > 0:
        report["words"] = f"{report['words'][: -over - 10]}…"
    return json.dumps(report)
