"""How far a word as it was read is from a word as it is registered: edits, weighed by what they look like.

Print that is read wrongly and names that are imitated change in the same few ways: a letter for another that
is drawn alike, a letter doubled or halved, two exchanged. These cost little; any other letter costs one.
"""

import re

# Drawn so much alike that one stands for the other; a group reads as its first.
_ALIKE = ("o0q", "il1j", "s5", "b8", "z2", "a4", "e3", "g69", "t7", "uv")
_FIRST = str.maketrans({letter: group[0] for group in _ALIKE for letter in group[1:]})
# Drawn somewhat alike.
_SIMILAR = frozenset(
    frozenset(pair) for pair in "ce cg co do nh nm hb kx pr pf ft fe rt it lt yv wv mw bd dp qp xk ad ao".split()
)
_VOWELS = frozenset("aeiouy")
# Two letters that run together into one.
_JOINED = {"m": ("rn",), "w": ("vv", "uu"), "d": ("cl", "ci"), "u": ("ii",), "h": ("li",)}

_SAME_SHAPE = 0.25
_DOUBLED = 0.3
_SIMILAR_SHAPE = 0.6
_EXCHANGED = 0.7
_OTHER_VOWEL = 0.8

_RUN = re.compile(r"(.)\1+")


def skeleton(key: str) -> str:
    """What is left of a key once letters that are drawn alike are one: no doubled letters, no `&`."""
    shapes = key.translate(_FIRST).replace("&", "").replace("rn", "m").replace("uu", "w")
    return _RUN.sub(r"\1", shapes)


def distance(read: str, registered: str, most: float) -> float:
    """The cost of the cheapest edits from one key to the other; infinite where it is above `most`."""
    start, end = 0, min(len(read), len(registered))
    while start < end and read[start] == registered[start]:
        start += 1
    # One letter that both share stays on either side: it tells whether the next is its double.
    start = max(0, start - 1)
    read, registered = read[start:], registered[start:]
    if read == registered:
        return 0.0
    rows: list[list[float]] = []
    for row in range(len(read) + 1):
        rows.append([])
        for column in range(len(registered) + 1):
            rows[row].append(_cheapest(read, registered, row, column, rows))
        if min(rows[row]) > most and min(rows[row - 1], default=0.0) > most:
            return float("inf")
    cost = rows[-1][-1]
    return cost if cost <= most else float("inf")


def _cheapest(read: str, registered: str, row: int, column: int, rows: list[list[float]]) -> float:
    """The cost of the first `row` letters against the first `column`."""
    if not row and not column:
        return 0.0
    costs = []
    if row:
        costs.append(rows[row - 1][column] + _dropped(read, row - 1))
    if column:
        costs.append(rows[row][column - 1] + _dropped(registered, column - 1))
    if row and column:
        one, other = read[row - 1], registered[column - 1]
        costs.append(rows[row - 1][column - 1] + _replaced(one, other))
        if row > 1 and read[row - 2 : row] in _JOINED.get(other, ()):
            costs.append(rows[row - 2][column - 1] + _SAME_SHAPE)
        if column > 1 and registered[column - 2 : column] in _JOINED.get(one, ()):
            costs.append(rows[row - 1][column - 2] + _SAME_SHAPE)
        if row > 1 and column > 1 and read[row - 2 : row] == registered[column - 1] + registered[column - 2]:
            costs.append(rows[row - 2][column - 2] + _EXCHANGED)
    return min(costs)


def _replaced(one: str, other: str) -> float:
    if one == other:
        return 0.0
    if one.translate(_FIRST) == other.translate(_FIRST):
        return _SAME_SHAPE
    if frozenset((one, other)) in _SIMILAR:
        return _SIMILAR_SHAPE
    return _OTHER_VOWEL if one in _VOWELS and other in _VOWELS else 1.0


def _dropped(text: str, place: int) -> float:
    """What it costs that one side has this letter and the other has not."""
    letter = text[place]
    doubled = letter in (text[place - 1 : place], text[place + 1 : place + 2])
    return _DOUBLED if doubled or letter == "&" else 1.0
