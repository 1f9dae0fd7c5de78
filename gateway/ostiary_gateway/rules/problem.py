"""What is wrong with a rule pack, and on which line of its file."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import yaml

Place = tuple[str | int, ...]


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: its line, counted from 1, and why, in words."""

    line: int
    reason: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.reason}"


class BadPack(ValueError):  # noqa: N818 # it says what the pack is
    """A pack that cannot be used; its text names every problem with its line."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = sorted(problems, key=lambda problem: problem.line)
        super().__init__("; ".join(map(str, self.problems)))


class Lines:
    """Where the parts of a YAML document stand."""

    def __init__(self, text: str) -> None:
        self._root = yaml.compose(text, Loader=yaml.SafeLoader)

    def problem(self, path: Sequence[str | int], reason: str) -> Problem:
        """`reason` at the line of `path`, or of as much of it as is there."""
        node = self._root
        line = 1
        for step in path:
            found = _child(node, step)
            if found is None:
                break
            line, node = found
        return Problem(line, reason)


def _child(node: yaml.Node | None, step: str | int) -> tuple[int, yaml.Node] | None:
    """The line and the node that `step` leads to, if it leads anywhere."""
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step].start_mark.line + 1, node.value[step]
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == step:
                return key.start_mark.line + 1, value
    return None
