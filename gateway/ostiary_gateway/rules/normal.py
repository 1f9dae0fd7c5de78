"""One reading of text that sellers disguise: widths, look-alikes, spelled digits, letters set apart.

Each character of the reading remembers the character it came from, so that evidence quotes the original.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

# Letters of other scripts that are drawn like Latin ones, and signs that are read like others.
_LOOK_ALIKES = str.maketrans(
    "авекмнорстухіѕјѵԝαοχνικρυτ➕",
    "abekmhopctyxisjvwaoxvikput+",
)
_SPELLINGS = ("零〇洞", "一壹幺", "二贰两", "三叁", "四肆", "五伍", "六陆", "七柒拐", "八捌", "九玖")
_SPELLED_DIGITS = {ord(sign): str(digit) for digit, signs in enumerate(_SPELLINGS) for sign in signs}
_DIGIT_LIKE = "0-9" + "".join(_SPELLINGS)
# From seven digits on, a run that mixes in Chinese digits is a number; "一件代发" is not.
_SPELLED_RUN = re.compile(rf"[{_DIGIT_LIKE}](?:[ .\-]{{0,2}}[{_DIGIT_LIKE}]){{6,}}")
_CJK = "\u3400-\u9fff"
_SEPARATOR = r"[ \t._\-*~·•|/@]"
_SET_APART = re.compile(
    rf"(?<=[{_CJK}]){_SEPARATOR}{{1,3}}(?=[{_CJK}])"
    # one Latin letter beside Chinese: "V 信", "加 v"
    rf"|(?<=(?<![a-z0-9])[a-z]){_SEPARATOR}{{1,3}}(?=[{_CJK}])"
    rf"|(?<=[{_CJK}]){_SEPARATOR}{{1,3}}(?=[a-z](?![a-z0-9]))"
)
# "w e c h a t": four or more letters, each standing alone
_SPACED_WORD = re.compile(r"(?<![a-z0-9])[a-z](?: [a-z](?![a-z0-9])){3,}")


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


def read(original: str) -> Reading:
    """The reading of `original`."""
    folded = [_fold(character) for character in original]
    origin = [index for index, part in enumerate(folded) for _ in part]
    text = _SPELLED_RUN.sub(lambda run: run[0].translate(_SPELLED_DIGITS), "".join(folded))
    return _close_up(text, origin)


@lru_cache(maxsize=16_384)
def _fold(character: str) -> str:
    """What one character reads as: usually one character, none where it is invisible."""
    folded = unicodedata.normalize("NFKC", character).casefold()
    return "".join(part for part in folded if not _is_invisible(part)).translate(_LOOK_ALIKES)


def _is_invisible(character: str) -> bool:
    """Format characters and combining marks: zero-width spaces, variation selectors, enclosing keycaps."""
    return unicodedata.category(character) in {"Cf", "Mn", "Me"}


def _close_up(text: str, origin: Sequence[int]) -> Reading:
    """Drop what sets letters apart."""
    gaps = [gap.span() for gap in _SET_APART.finditer(text)]
    for word in _SPACED_WORD.finditer(text):
        gaps += [(index, index + 1) for index in range(*word.span()) if text[index] == " "]
    kept: list[str] = []
    kept_origin: list[int] = []
    position = 0
    for start, end in [*sorted(gaps), (len(text), len(text))]:
        kept.append(text[position:start])
        kept_origin += origin[position:start]
        position = max(position, end)
    return Reading("".join(kept), tuple(kept_origin))
