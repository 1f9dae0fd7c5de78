"""How likely a reading is the mark: a logistic score over few, named observations.

`probability = sigmoid(sum of the terms below)`. The weights were set so that the scores of word marks on
photographs of clothes hold what they say; `docs/logos.md` has the table and how well it fits.
"""

import math
from dataclasses import dataclass

_EXACT = 3.0
"""A mark of six letters, exactly read, alone on its line."""
_PER_LETTER = 0.35
_USUAL_LETTERS, _FEWEST_LETTERS, _MOST_LETTERS = 6, 4, 12
_PER_COST = -18.0
"""For a distance of one edit per letter."""
_PER_CONFIDENCE = 4.0
_SURE_CONFIDENCE = 0.95
_PER_DOUBLING = 0.3
_USUAL_HEIGHT, _SMALLEST, _LARGEST = 0.03, -2.0, 1.0
_IN_A_LINE = -0.4
_GLUED = -0.8
_JOINED = -0.3
_COMMON = -4.2
_COMMON_TELLING = -3.0
_COMMON_ALONE = 1.3
_COMMON_LARGE = 1.1
_AS_REGISTERED = 0.8
_SIGNED = 1.5


@dataclass(frozen=True, slots=True)
class Evidence:
    """What speaks for a mark and against it.

    `letters`: how much the mark says, in Latin letters. `cost`: see `distance`. `confidence`: of the least
    sure line, 0 to 1. `height`: of the letters, as a share of the image's shorter side. `whole`: it is all
    that stands on its lines. `glued`: ends of it that no gap sets apart, 0 to 2. `lines`: how many it is
    spread over. `common`, `telling`: of the spelling. `alone`: `whole`, and no print of its size beside it.
    `large`: among the largest print of the image. `as_registered`: in the same capitals and small letters.
    `signed`: ® or ™ stands behind it.
    """

    letters: int
    cost: float
    confidence: float
    height: float
    whole: bool
    glued: int = 0
    lines: int = 1
    common: bool = False
    telling: bool = False
    alone: bool = False
    large: bool = False
    as_registered: bool = False
    signed: bool = False


def probability(seen: Evidence) -> float:
    """How likely it is the mark, from 0 to 1."""
    letters = min(max(seen.letters, _FEWEST_LETTERS), _MOST_LETTERS)
    doublings = math.log2(max(seen.height, 1e-6) / _USUAL_HEIGHT)
    total = (
        _EXACT
        + _PER_LETTER * (letters - _USUAL_LETTERS)
        + _PER_COST * seen.cost / letters
        + _PER_CONFIDENCE * min(0.0, seen.confidence - _SURE_CONFIDENCE)
        + _PER_DOUBLING * min(max(doublings, _SMALLEST), _LARGEST)
        + _IN_A_LINE * (not seen.whole)
        + _GLUED * seen.glued
        + _JOINED * (seen.lines - 1)
        + _SIGNED * seen.signed
        + (_common(seen) if seen.common else 0.0)
    )
    return 1 / (1 + math.exp(-total))


def _common(seen: Evidence) -> float:
    """What it takes for a word that stands on products anyway: to stand alone, large, and as registered."""
    against = _COMMON_TELLING if seen.telling else _COMMON
    favour = _COMMON_ALONE * seen.alone + _COMMON_LARGE * (seen.alone and seen.large)
    return min(0.0, against + favour + _AS_REGISTERED * (seen.whole and seen.as_registered))
