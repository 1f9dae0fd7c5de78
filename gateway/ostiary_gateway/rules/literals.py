"""What a text must hold for a pattern to match it: literals to look for before the pattern is tried.

Read off the parsed pattern. Wherever a construct says nothing certain, nothing is claimed: a pattern without
literals is tried on every text, so that no match is ever missed.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from re import _constants as op  # type: ignore[attr-defined]  # the parser has no public name
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

Strings = frozenset[str]

_FEW = 64  # as many ways to spell a part as are written out
_SIGNS = 16  # as many characters of a class as are
_REPEATS = 3
_EMPTY: Strings = frozenset({""})
_ZERO_WIDTH = {op.AT, op.ASSERT, op.ASSERT_NOT}
_REPEATED = {op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT}
# A Chinese character is as telling as two or three letters.
_IDEOGRAPHS = 0x2E80


@dataclass(frozen=True)
class _Part:
    """Attributes: `exact`: all that it matches, if few; `needed`: strings of which each match holds one."""

    exact: Strings | None
    needed: Strings | None


_ANYTHING = _Part(None, None)


def needed_literals(pattern: str) -> Strings | None:
    """Strings of which every text that `pattern` matches holds one; None where none can be told.

    Raises:
        re.error: it is not a regular expression.
    """
    parsed = parser.parse(pattern)
    if parsed.state.flags & re.IGNORECASE:
        return None
    return _sequence(parsed).needed


def _sequence(items: Iterable[Any]) -> _Part:
    run, best, whole = _EMPTY, None, True
    for operation, argument in items:
        part = _part(operation, argument)
        if part.exact is not None and len(run) * len(part.exact) <= _FEW:
            run = frozenset(left + right for left in run for right in part.exact)
            continue
        best = _better(_better(best, run), part.needed)
        run, whole = part.exact or _EMPTY, False
    return _Part(run if whole else None, _better(best, run))


def _part(operation: Any, argument: Any) -> _Part:
    if operation is op.LITERAL:
        return _spelled(frozenset({chr(argument)}))
    if operation is op.IN:
        return _class(argument)
    if operation in _ZERO_WIDTH:
        return _Part(_EMPTY, None)
    if operation is op.BRANCH:
        return _either([_sequence(branch) for branch in argument[1]])
    if operation is op.SUBPATTERN:
        _, added, removed, inner = argument
        return _ANYTHING if added or removed else _sequence(inner)
    if operation is op.ATOMIC_GROUP:
        return _sequence(argument)
    if operation in _REPEATED:
        return _repeat(*argument)
    return _ANYTHING


def _class(members: Sequence[Any]) -> _Part:
    signs: set[str] = set()
    for operation, argument in members:
        if operation is op.LITERAL:
            signs.add(chr(argument))
        elif operation is op.RANGE and argument[1] - argument[0] < _SIGNS:
            signs.update(map(chr, range(argument[0], argument[1] + 1)))
        else:
            return _ANYTHING
    return _spelled(frozenset(signs)) if len(signs) <= _SIGNS else _ANYTHING


def _either(parts: Sequence[_Part]) -> _Part:
    exact: Strings | None = frozenset()
    needed: Strings | None = frozenset()
    for part in parts:
        exact = None if exact is None or part.exact is None else exact | part.exact
        needed = None if needed is None or part.needed is None else needed | part.needed
    return _Part(exact if exact is None or len(exact) <= _FEW else None, needed)


def _repeat(least: int, most: Any, inner: Iterable[Any]) -> _Part:
    once = _sequence(inner)
    needed = once.needed if least else None
    if once.exact is None or most > _REPEATS or len(once.exact) ** int(most) > _FEW:
        return _Part(None, needed)
    times = _EMPTY
    exact = set(_EMPTY if least == 0 else ())
    for count in range(1, int(most) + 1):
        times = frozenset(left + right for left in times for right in once.exact)
        exact |= times if count >= least else set()
    return _Part(frozenset(exact), needed)


def _spelled(strings: Strings) -> _Part:
    return _Part(strings, _better(None, strings))


def _better(one: Strings | None, other: Strings | None) -> Strings | None:
    """The set that fewer texts hold a string of; one with the empty string says nothing."""
    sets = [strings for strings in (one, other) if strings and "" not in strings]
    return max(sets, key=lambda strings: (min(map(_telling, strings)), -len(strings)), default=None)


def _telling(literal: str) -> int:
    return sum(2 if ord(character) >= _IDEOGRAPHS else 1 for character in literal)
