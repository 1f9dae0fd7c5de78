"""What a promise's run gets, and what it answers."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Outcome:
    """What one promise's run measured.

    Attributes:
        count: How many cases were run.
        full_count: How many the promise asks for.
        figure: What was measured, in the bar's unit.
        bar: What it is held against.
        unit: What figure and bar count.
        met: Whether the figure reaches the bar.
    """

    count: int
    full_count: int
    figure: float
    bar: float
    unit: str
    met: bool


@dataclass(frozen=True)
class Promise:
    """One promise that is built, and how it is shown.

    Attributes:
        number: Its number in the list of promises.
        title: Its title there.
        run: Runs it within so many seconds and returns what it measured.
    """

    number: int
    title: str
    run: Callable[[float], Outcome]
