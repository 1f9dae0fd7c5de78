"""A text as a row of words, each as it is compared: folded, without what only decorates it."""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from ostiary.text.letters import fold

AND = "&"
# Signs beside a word that say that it is a mark.
_SIGNS = "®™℠©"
_DROPPED = frozenset("'’‘`´" + _SIGNS)
# Signs that stand for letters, where letters stand beside them.
_LETTER_LIKE = {"@": "a", "$": "s", "!": "i", "|": "l"}
_AND_WORDS = frozenset({"and", "und"})
_IDEOGRAM = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")
_NUMBER = re.compile(r"[0-9]{2,}|(?:[^0-9]|(?<![0-9])[0-9](?![0-9]))+")
_HALF_WIDTH = re.compile(r"[\uff65-\uff9f]+")
_SPACED_OUT = 3


@dataclass(frozen=True, slots=True)
class Word:
    """One word, or one Chinese or Japanese character, and where it stands.

    `key`: letters and digits as they are compared; `&` for *and*. `start`, `end`: its characters in the text.
    `glued`: nothing sets it apart from the word before. `signed`: ®, ™ or the like follows it.
    """

    key: str
    start: int
    end: int
    glued: bool = False
    signed: bool = False

    @property
    def ideogram(self) -> bool:
        """Whether it is a character of a script that sets no words apart."""
        return bool(_IDEOGRAM.match(self.key))


def words(text: str) -> list[Word]:
    """The words of a text: set apart by spaces and signs, by a capital after a small letter
    (CalvinKlein), and by numbers of several digits (NIKE2024). Letters that stand alone, three or more in a
    row, are one word (N I K E). An `&` stands between words, never before or after all of them.
    """
    # Their voiced sounds are two characters that make one.
    text = _HALF_WIDTH.sub(lambda run: unicodedata.normalize("NFKC", run[0]), text)
    found: list[Word] = []
    for word in _split(text):
        pieces = list(_NUMBER.finditer(word.key)) if not word.key.isalpha() else []
        if len(pieces) < 2:
            found.append(replace(word, key=AND) if word.key in _AND_WORDS else word)
            continue
        for number, piece in enumerate(pieces):
            found.append(
                replace(
                    word,
                    key=piece[0],
                    glued=word.glued or number > 0,
                    signed=word.signed and piece is pieces[-1],
                )
            )
    joining = [word.key != AND for word in found]
    if not any(joining):
        return []
    return _closed_up(found[joining.index(True) : len(found) - joining[::-1].index(True)])


def _split(text: str) -> Iterator[Word]:
    """Words at their boundaries, in order."""
    key, start, glued, previous = "", 0, False, ""

    def word(end: int, signed: bool = False) -> Word:
        return Word(key, start, end, glued, signed)

    for place, character in enumerate(text):
        if character in _DROPPED:
            if key and character in _SIGNS:
                yield word(place, signed=True)
                key, glued = "", False
            continue
        letters = _letters(text, place)
        if not letters:
            if key:
                yield word(place)
            key, glued, previous = "", False, ""
            continue
        alone = bool(_IDEOGRAM.match(letters)) or letters == AND
        if key and (alone or _is_hump(previous, character) or _IDEOGRAM.match(key[-1]) or key == AND):
            yield word(place)
            key, glued = "", True
        if not key:
            start = place
            glued = glued or bool(previous)
        key, previous = key + letters, character
    if key:
        yield word(len(text))


def _letters(text: str, place: int) -> str:
    """What the character there reads as, if it is part of a word; else nothing."""
    character = text[place]
    folded = fold(character)
    if folded in (AND, "+"):
        return AND
    if folded.isalnum():
        return folded
    if (letter := _LETTER_LIKE.get(character)) and _is_letter(text, place + 1):
        return letter if _is_letter(text, place - 1) or character in "@$" else ""
    return ""


def _is_letter(text: str, place: int) -> bool:
    return 0 <= place < len(text) and text[place].isalnum()


def _is_hump(before: str, character: str) -> bool:
    return before.islower() and character.isupper()


def _closed_up(found: Sequence[Word]) -> list[Word]:
    """Letters that stand alone, put together to a word."""
    closed: list[Word] = []
    run: list[Word] = []
    for word in [*found, None]:
        if word is not None and len(word.key) == 1 and word.key.isascii() and word.key.isalpha():
            run.append(word)
            continue
        if len(run) >= _SPACED_OUT:
            key = "".join(letter.key for letter in run)
            closed.append(Word(key, run[0].start, run[-1].end, run[0].glued, run[-1].signed))
        else:
            closed += run
        run = []
        if word is not None:
            closed.append(word)
    return closed
