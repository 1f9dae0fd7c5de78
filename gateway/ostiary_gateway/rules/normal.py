"""One reading of text that sellers disguise: widths, look-alikes, spelled digits, letters set apart.

Each character of the reading remembers the character it came from, so that evidence quotes the original.
"""

import re
from collections.abc import Container, Sequence
from dataclasses import dataclass
from itertools import product

from ostiary.text.letters import STAND_INS, fold

_SPELLINGS = ("零〇洞", "一壹幺", "二贰两", "三叁", "四肆", "五伍", "六陆", "七柒拐", "八捌", "九玖")
_SPELLED_DIGITS = {ord(sign): str(digit) for digit, signs in enumerate(_SPELLINGS) for sign in signs}
_DIGIT_LIKE = "0-9" + "".join(_SPELLINGS)
# From seven digits on, a run that mixes in Chinese digits is a number; "一件代发" is not.
_SPELLED_RUN = re.compile(rf"[{_DIGIT_LIKE}](?:[ .\-]{{0,2}}[{_DIGIT_LIKE}]){{6,}}")
# Letters among the digits of a number that are drawn like digits: "138-0013-8OOO"
_LETTERED_RUN = re.compile(r"(?<![a-z0-9])[0-9](?:[ .\-]?[0-9]|[oli]){6,}(?![a-z0-9])")
_DRAWN_DIGITS = str.maketrans("oli", "011")
_CJK = "\u3400-\u9fff"
_SEPARATOR = r"[ \t._\-*~·•|/@★☆♥♡❤◆◇■□●○▲△※✦]"
_SET_APART = re.compile(
    rf"(?<=[{_CJK}]){_SEPARATOR}{{1,3}}(?=[{_CJK}])"
    # one Latin letter beside Chinese: "V 信", "加 v"
    rf"|(?<=(?<![a-z0-9])[a-z]){_SEPARATOR}{{1,3}}(?=[{_CJK}])"
    rf"|(?<=[{_CJK}]){_SEPARATOR}{{1,3}}(?=[a-z](?![a-z0-9]))"
    # a number beside Chinese: "7 天瘦 10 斤"
    rf"|(?<=[{_CJK}]) (?=[0-9])|(?<=[0-9%]) (?=[{_CJK}])"
)
# "w e c h a t", "w.e.c.h.a.t": four or more letters, each standing alone
_SPACED_WORD = re.compile(r"(?<![a-z0-9])[a-z](?:([ ._\-*·•])[a-z](?![a-z0-9]))(?:\1[a-z](?![a-z0-9])){2,}")
# A column of Chinese: three or more characters, each on a line of its own
_COLUMN = re.compile(rf"(?<![^\n\x00])[{_CJK}](?:\n[{_CJK}](?![^\n\x00])){{2,}}")
_FOR_LETTERS = re.escape("".join(STAND_INS))
# A word that may have digits and signs for letters: "v1agra", "wh@tsapp"
_DISGUISED = re.compile(
    rf"(?<![a-z0-9@$])(?=[a-z0-9]*?[{_FOR_LETTERS}])[a-z0-9@$][a-z0-9@$!]{{1,22}}[a-z0-9@$](?![a-z0-9@$])"
)
_FEW_STAND_INS = 4


@dataclass(frozen=True)
class Reading:
    """Text as it is matched.

    Attributes:
        text: what patterns see: NFKC, case-folded, see the module's first line.
        origin: for each character of `text`, the index of the original character it came from.
    """

    text: str
    origin: tuple[int, ...]

    def source_range(self, start: int, end: int) -> tuple[int, int]:
        """The range of the original that `text[start:end]` came from; `start` < `end`."""
        return self.origin[start], self.origin[end - 1] + 1


def read(original: str, *vocabularies: Container[str]) -> Reading:
    """The reading of `original`.

    Digits and signs inside a word read as letters only where a word of `vocabularies` comes out: sizes, years
    and model numbers stay what they are.
    """
    plain, origin = _folded(original)
    text = _SPELLED_RUN.sub(lambda run: run[0].translate(_SPELLED_DIGITS), plain)
    text = _LETTERED_RUN.sub(lambda run: run[0].translate(_DRAWN_DIGITS), text)
    reading = _close_up(text, origin)
    spelled = _DISGUISED.sub(lambda word: _undisguised(word[0], vocabularies), reading.text)
    return Reading(spelled, reading.origin)


def _folded(original: str) -> tuple[str, Sequence[int]]:
    """What each character reads as, and which one it came from."""
    if original.isascii():
        return original.lower(), range(len(original))
    folded = [fold(character) for character in original]
    return "".join(folded), [index for index, part in enumerate(folded) for _ in part]


def _undisguised(word: str, vocabularies: Sequence[Container[str]]) -> str:
    """The word of `vocabularies` that `word` stands for, letter by letter; else `word` itself."""
    disguised = sum(sign in STAND_INS for sign in word)
    if not 0 < disguised <= min(_FEW_STAND_INS, len(word) - 2):
        return word
    spellings = map("".join, product(*(STAND_INS.get(sign, sign) for sign in word)))
    return next((spelled for spelled in spellings if any(spelled in words for words in vocabularies)), word)


def _close_up(text: str, origin: Sequence[int]) -> Reading:
    """Drop what sets letters apart."""
    spaced = [*_SPACED_WORD.finditer(text)]
    gaps: set[tuple[int, int]] = set()
    if not text.isascii():  # both are about Chinese
        gaps |= {gap.span() for gap in _SET_APART.finditer(text)}
        spaced += _COLUMN.finditer(text)
    for letters in spaced:
        gaps |= {(index, index + 1) for index in range(letters.start() + 1, letters.end(), 2)}
    if not gaps:
        return Reading(text, tuple(origin))
    kept: list[str] = []
    kept_origin: list[int] = []
    position = 0
    for start, end in [*sorted(gaps), (len(text), len(text))]:
        kept.append(text[position:start])
        kept_origin += origin[position:start]
        position = max(position, end)
    return Reading("".join(kept), tuple(kept_origin))
