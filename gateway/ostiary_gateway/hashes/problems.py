"""What is wrong with a list, so that a person can mend it."""

from collections.abc import Sequence
from dataclasses import dataclass

MOST_PROBLEMS = 20
"""Reading a file stops at so many."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong where: `line` counts from 1 and is 0 where the whole file is meant."""

    file: str
    line: int
    reason: str

    def __str__(self) -> str:
        """As compilers say it: `known-fakes.csv:17: hash: …`."""
        return f"{self.file}:{self.line}: {self.reason}" if self.line else f"{self.file}: {self.reason}"


class BadListError(ValueError):
    """A list that is refused; `problems` says why, at most 20 times."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("; ".join(map(str, problems)))
        self.problems = tuple(problems)
