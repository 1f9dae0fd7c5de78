"""Where lines of text stand to one another: what may be read on from one to the next."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from ostiary_moderation.wordmarks.words import Word, words

_LATIN_WIDTH = 0.6
"""Width of a capital, in heights; a Chinese character is as wide as high."""


@dataclass(frozen=True, slots=True)
class Box:
    """An upright rectangle in pixels."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def width(self) -> float:
        """From left to right."""
        return self.right - self.left

    @property
    def height(self) -> float:
        """From top to bottom."""
        return self.bottom - self.top

    def union(self, other: "Box") -> "Box":
        """The rectangle around both."""
        return Box(
            min(self.left, other.left),
            min(self.top, other.top),
            max(self.right, other.right),
            max(self.bottom, other.bottom),
        )


@dataclass(frozen=True)
class Line:
    """A piece of text as it was read. `confidence`: 0 to 1."""

    text: str
    confidence: float
    box: Box

    @cached_property
    def words(self) -> tuple[Word, ...]:
        """What stands in it."""
        return tuple(words(self.text))

    @cached_property
    def letter_height(self) -> float:
        """Height of its letters in pixels, at most: less than the box's where that is tilted or a column."""
        widths = sum(1.0 if word.ideogram else _LATIN_WIDTH * len(word.key) for word in self.words)
        short, long = sorted((self.box.width, self.box.height))
        return min(short, long / max(widths, _LATIN_WIDTH))


@dataclass(frozen=True, slots=True)
class Row:
    """Lines side by side, or one alone: what the next line is compared with."""

    box: Box
    letter_height: float

    @classmethod
    def of(cls, line: Line) -> "Row":
        """A line alone."""
        return cls(line.box, line.letter_height)

    def continues_with(self, line: Line) -> bool:
        """Whether the line stands to the right, in the same row."""
        here, there = self.box, line.box
        lower, higher = sorted((here.height, there.height))
        overlap = min(here.bottom, there.bottom) - max(here.top, there.top)
        gap = there.left - here.right
        return (
            overlap >= 0.5 * lower
            and higher <= 2 * lower
            and -0.3 * lower <= gap <= 1.5 * lower
            and there.right > here.right
        )

    def is_above(self, line: Line) -> bool:
        """Whether the line stands next below, under at least half of the narrower of the two."""
        here, there = self.box, line.box
        lower, higher = sorted((self.letter_height, line.letter_height))
        overlap = min(here.right, there.right) - max(here.left, there.left)
        gap = there.top - here.bottom
        return (
            overlap >= 0.5 * min(here.width, there.width)
            and higher <= 3 * lower
            and -0.4 * min(here.height, there.height) <= gap <= 1.2 * higher
            and there.bottom > here.bottom
        )

    def with_right(self, line: Line) -> "Row":
        """The row with one more line."""
        return Row(self.box.union(line.box), max(self.letter_height, line.letter_height))


def next_lines(row: Row, lines: Sequence[Line]) -> Iterator[tuple[int, Row]]:
    """Indices of lines that may be read after the row, each with the row that it ends."""
    for index, line in enumerate(lines):
        if row.continues_with(line):
            yield index, row.with_right(line)
        elif row.is_above(line):
            yield index, Row.of(line)


def has_company(line: Line, others: Sequence[Line]) -> bool:
    """Whether print of about the same size stands next to a line: then both are likely one statement."""
    row = Row.of(line)
    for other in others:
        lower, higher = sorted((line.letter_height, other.letter_height))
        beside = Row.of(other)
        if higher <= 1.7 * lower and (
            row.continues_with(other)
            or beside.continues_with(line)
            or row.is_above(other)
            or beside.is_above(line)
        ):
            return True
    return False
