"""Why a registry is refused."""

from collections.abc import Sequence

from ostiary_gateway.hashes.problems import Problem

MOST_PROBLEMS = 50
"""No more are told of one registry."""


class BadRegistryError(ValueError):
    """A registry that is refused; `problems` says why, at most 50 times."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("; ".join(map(str, problems)))
        self.problems = tuple(problems)
