"""How far a word as it was read is from a word as it is registered: edits, weighed by what they look like.

Print that is read wrongly and names that are imitated change in the same few ways: a letter for another that
is drawn alike, a letter doubled or halved, two exchanged. These cost little; any other letter costs one.
"""

import re
from itertools import permutations

# Drawn so much alike that one stands for the other; a group reads as its first.
_ALIKE = ("o0q", "il1j", "s5", "b8", "z2", "a4", "e3", "g69", "t7", "uv")
_FIRST = str.maketrans({letter: group[0] for group in _ALIKE for letter in group[1:]})
# Drawn somewhat alike.
_SIMILAR = (
    *("ce", "cg", "co", "do", "nh", "nm", "hb", "kx", "pr", "pf", "ft", "fe"),
    *("rt", "it", "lt", "yv", "wv", "mw", "bd", "dp", "qp", "ad", "ao"),
)
_VOWELS = "aeiouy"
# Two letters that run together into one.
_JOINED = {"m": ("rn",), "w": ("vv", "uu"), "d": ("cl", "ci"), "u": ("ii",), "h": ("li",)}

_SAME_SHAPE = 0.25
_DOUBLED = 0.3
_SIMILAR_SHAPE = 0.6
_EXCHANGED = 0.7
_OTHER_VOWEL = 0.8

_FAR = float("inf")
_MOST_APART = 4

_RUN = re.compile(r"(.)\1+")


def skeletons(key: str) -> list[str]:
    """What is left of a key once letters that are drawn alike are one: no doubled letters, no `&`.

    Where two letters may have run together into one, the skeleton with that one comes second.
    """
    shape = key.translate(_FIRST).replace("&", "")
    joined = shape.replace("rn", "m").replace("uu", "w")
    shapes = [_RUN.sub(r"\1", shape)]
    return shapes if joined == shape else [*shapes, _RUN.sub(r"\1", joined)]


def distance(read: str, registered: str, most: float) -> float:
    """The cost of the cheapest edits from one key to the other.

    Infinite where it is above `most`, or where one key is or gets more than four letters ahead of the other.
    """
    if abs(len(read) - len(registered)) > _MOST_APART:
        return _FAR
    read, registered = _where_they_differ(read, registered)
    if read == registered:
        return 0.0
    drops, others = _drops(read), _drops(registered)
    before: list[float] = []
    above = [0.0]
    for cost in others:
        above.append(above[-1] + cost)
    for row, letter in enumerate(read):
        first = max(0, row - _MOST_APART)
        current = [_FAR] * (len(registered) + 1)
        if not first:
            current[0] = above[0] + drops[row]
        for column in range(first, min(len(registered), row + _MOST_APART + 1)):
            other = registered[column]
            cost = above[column] + (0.0 if letter == other else _REPLACED.get(letter + other, 1.0))
            cost = min(cost, above[column + 1] + drops[row], current[column] + others[column])
            if row and read[row - 1 : row + 1] in _JOINED.get(other, ()):
                cost = min(cost, before[column] + _SAME_SHAPE)
            if column:
                if registered[column - 1 : column + 1] in _JOINED.get(letter, ()):
                    cost = min(cost, above[column - 1] + _SAME_SHAPE)
                if row and letter == registered[column - 1] and other == read[row - 1]:
                    cost = min(cost, before[column - 1] + _EXCHANGED)
            current[column + 1] = cost
        if min(current) > most and min(above) > most:
            return _FAR
        before, above = above, current
    return above[-1] if above[-1] <= most else _FAR


def _where_they_differ(read: str, registered: str) -> tuple[str, str]:
    """Both without what they begin and end with alike, but for one letter, which tells whether the next one
    doubles it.
    """
    start, shorter = 0, min(len(read), len(registered))
    while start < shorter and read[start] == registered[start]:
        start += 1
    start = max(0, start - 1)
    end = 0
    while end < shorter - start and read[-1 - end] == registered[-1 - end]:
        end += 1
    end = max(0, end - 1)
    return read[start : len(read) - end], registered[start : len(registered) - end]


def _drops(text: str) -> list[float]:
    """For each letter what it costs that one side has it and the other has not."""
    neighbours = zip(text, " " + text, text[1:] + " ", strict=False)
    return [
        _DOUBLED if letter in (before, after) or letter == "&" else 1.0
        for letter, before, after in neighbours
    ]


def _replacements() -> dict[str, float]:
    """What it costs that one letter stands for another, by the two of them."""
    costs = {one + other: _OTHER_VOWEL for one, other in permutations(_VOWELS, 2)}
    for pair in _SIMILAR:
        costs[pair] = costs[pair[::-1]] = _SIMILAR_SHAPE
    for group in _ALIKE:
        costs |= {one + other: _SAME_SHAPE for one, other in permutations(group, 2)}
    return costs


_REPLACED = _replacements()
