"""Word marks, as different hands write them: folding, and finding them in a text.

Case, width, accents, traditional characters, letters of other scripts that look alike, spaces, hyphens, dots
and apostrophes do not tell two words apart. Misspellings do: those are for a pod to see in an image.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ahocorasick_rs import AhoCorasick

from ostiary.text.letters import fold

MIN_LETTERS, MIN_IDEOGRAPHS = 3, 2
MAX_CHARACTERS = 64
_IGNORED = frozenset("-‐‑–—_.·•・'’‘`´®™©")
_FIRST_IDEOGRAPH = "\u3040"  # kana, Chinese and Hangul are written without spaces, or with endings


@dataclass(frozen=True, slots=True)
class Mention:
    """A word mark in a text: which one, and the range of the text."""

    reference_id: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class _ClosedUp:
    """A text folded, without what is ignored.

    `origin` has the index in the text of each character, `apart` the places before which something was left
    out.
    """

    letters: str
    origin: tuple[int, ...]
    apart: frozenset[int]

    def ends_at(self, place: int) -> bool:
        """Whether a word may begin or end before the character at `place`."""
        if place in (0, len(self.letters)) or place in self.apart:
            return True
        return not (_joins(self.letters[place - 1]) and _joins(self.letters[place]))


class WordIndex:
    """Finds all of many word marks in one pass over a text."""

    def __init__(self, spellings: Iterable[tuple[str, str]]) -> None:
        """`spellings`: each with the reference id of its mark."""
        owners: dict[str, str] = {}
        for spelling, reference_id in spellings:
            owners.setdefault(folded(spelling), reference_id)
        self._owners = tuple(owners.values())
        self._automaton = AhoCorasick(owners)

    def mentions(self, text: str) -> list[Mention]:
        """The marks in `text` that stand there as words of their own, in its order.

        A mark inside a longer one is not told: who writes of POLO RALPH LAUREN does not write of POLO.
        """
        if not self._owners:
            return []
        closed = _close_up(text)
        taken: list[tuple[int, int]] = []
        found = []
        for number, start, end in self._words(closed):
            if not any(first <= start and end <= last for first, last in taken):
                taken.append((start, end))
                place = closed.origin[start], closed.origin[end - 1] + 1
                found.append(Mention(self._owners[number], *place))
        return sorted(found, key=lambda mention: mention.start)

    def _words(self, closed: _ClosedUp) -> list[tuple[int, int, int]]:
        """Number, start and end of what stands there as a word, the longest first."""
        hits = self._automaton.find_matches_as_indexes(closed.letters, overlapping=True)
        words = [hit for hit in hits if closed.ends_at(hit[1]) and closed.ends_at(hit[2])]
        return sorted(words, key=lambda hit: hit[1] - hit[2])


def folded(word: str) -> str:
    """What is the same for all ways to write a word."""
    return _close_up(word).letters


def fault(word: str) -> str:
    """Why a spelling cannot be looked for, in words; empty where it can."""
    letters = folded(word)
    if len(word) > MAX_CHARACTERS or not word.isprintable():
        return f"at most {MAX_CHARACTERS} printable characters, not {len(word)}"
    if not any(letter.isalpha() for letter in letters):
        return f"{word!r} has no letter, and numbers stand everywhere: register its mark as an image"
    least = MIN_IDEOGRAPHS if any(letter >= _FIRST_IDEOGRAPH for letter in letters) else MIN_LETTERS
    if len(letters) < least:
        return (
            f"{word!r} is too short to tell the brand: {MIN_LETTERS} letters or {MIN_IDEOGRAPHS} Chinese "
            "characters are the least; register its mark as an image"
        )
    return ""


def _close_up(text: str) -> _ClosedUp:
    letters: list[str] = []
    origin: list[int] = []
    apart: set[int] = set()
    for index, letter in _folded_letters(text):
        if letter.isspace() or letter in _IGNORED:
            apart.add(len(letters))
        else:
            letters.append(letter)
            origin.append(index)
    return _ClosedUp("".join(letters), tuple(origin), frozenset(apart))


def _folded_letters(text: str) -> Iterator[tuple[int, str]]:
    for index, character in enumerate(text):
        # Folding would make letters of some: ™ is read as TM.
        for letter in character if character in _IGNORED else fold(character):
            yield index, letter


def _joins(letter: str) -> bool:
    """Whether a letter and the one beside it are of one word where nothing stands between them."""
    return letter.isalnum() and letter < _FIRST_IDEOGRAPH
