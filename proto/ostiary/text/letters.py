"""What single characters read as: look-alikes, letters in circles and squares, simplified Chinese."""

import unicodedata
from functools import lru_cache

from ostiary.text.traditional import SIMPLIFIED

# Letters of other scripts that are drawn like Latin ones, and signs that are read like others.
_LOOK_ALIKES = dict(
    zip(
        "авекмнорстухіѕјѵԝһԁɡɑıαοχνικρυτηɩᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘʀꜱᴛᴜᴠᴡʏᴢøłđ➕",
        "abekmhopctyxisjvwhdgaiaoxvikputniabcdefghijklmnoprstuvwyzold+",
        strict=True,
    )
)
# Greek capitals that are drawn like another Latin letter than their small ones are.
_CAPITALS = dict(zip("ΒΕΖΗΜΝΡΥ", "bezhmnpy", strict=True))
# Runs of letters and digits in circles and squares that have no compatibility form, each from its first one.
_RUNS = ((0x1F150, "a", 26), (0x1F170, "a", 26), (0x1F1E6, "a", 26), (0x2776, "1", 9), (0x2780, "1", 9))
_ENCLOSED = {
    chr(start + step): chr(ord(first) + step) for start, first, count in _RUNS for step in range(count)
}
_ENCLOSED |= {"🆔": "id", "🆕": "new", "🆓": "free", "⓿": "0", "❿": "10", "➉": "10"}
_ENCLOSED |= {chr(0x278A + step): str(step + 1) for step in range(9)}
_ENCLOSED |= {chr(0x24F5 + step): str(step + 1) for step in range(10)}
_ENCLOSED |= {chr(0x24EB + step): str(step + 11) for step in range(10)}
_AT_SIGHT = _ENCLOSED | _CAPITALS

# Digits and signs that stand for letters.
STAND_INS = {
    "0": "o",
    "1": "il",
    "3": "e",
    "4": "a",
    "5": "s",
    "7": "t",
    "8": "b",
    "@": "a",
    "$": "s",
    "!": "i",
}


@lru_cache(maxsize=16_384)
def fold(character: str) -> str:
    """What one character reads as: usually one character, none where it is invisible.

    Reading it once more changes nothing.
    """
    plain = _AT_SIGHT.get(character) or unicodedata.normalize("NFKC", character).casefold()
    bare = "".join(map(_bare, plain))
    return "".join(_LOOK_ALIKES.get(sign) or SIMPLIFIED.get(sign, sign) for sign in bare)


def _bare(character: str) -> str:
    """Without what is invisible: format characters, combining marks, the accents of Latin letters."""
    if unicodedata.category(character) in {"Cf", "Mn", "Me"}:
        return ""
    letter = unicodedata.normalize("NFD", character)[0]
    return letter if letter.isascii() else character
