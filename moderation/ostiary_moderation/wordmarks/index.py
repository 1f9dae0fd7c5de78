"""Registered spellings, so kept that those near a key are found without a look at the others.

Keys are looked up by their skeletons, which look-alikes and doubled letters leave unchanged; so `N1KE` and
`ADIDDAS` are found at once. Longer ones are found with one or two letters more, less or exchanged, too: two
skeletons that far apart have a common remainder when so many letters are left out of either (the symmetric
delete neighbourhood). Only as many of their first letters are used as keep the neighbourhood small.
"""

from collections.abc import Iterable

from ostiary_moderation.wordmarks.distance import distance, skeletons
from ostiary_moderation.wordmarks.spelling import Spelling

_ONE_EDIT_FROM = 5
_TWO_EDITS_FROM = 10
_PREFIX = 8


class Index:
    """Spellings by what they may be read as. Never changes once made."""

    def __init__(self, spellings: Iterable[Spelling]) -> None:
        self._exact: dict[str, list[Spelling]] = {}
        self._alike: dict[str, list[Spelling]] = {}
        self._near: dict[str, list[Spelling]] = {}
        self._far: dict[str, list[Spelling]] = {}
        self._starts: set[str] = set()
        self._beginnings: set[str] = set()
        self._longest_start = self.most_words = self.most_letters = 0
        for spelling in spellings:
            self._add(spelling)

    def _add(self, spelling: Spelling) -> None:
        self._beginnings.add(spelling.key[0])
        self._exact.setdefault(spelling.key, []).append(spelling)
        for shape in skeletons(spelling.key):
            self._alike.setdefault(shape, []).append(spelling)
            if spelling.tolerance >= 1:
                self._add_neighbourhood(spelling, shape)
        for count in range(1, len(spelling.words)):
            start = "".join(spelling.words[:count])
            self._longest_start = max(self._longest_start, len(start))
            for shape in skeletons(start):
                self._starts |= set(_starting_forms(shape))
        self.most_words = max(self.most_words, len(spelling.words))
        self.most_letters = max(self.most_letters, len(spelling.key))

    def _add_neighbourhood(self, spelling: Spelling, shape: str) -> None:
        if len(shape) >= _TWO_EDITS_FROM:
            for rest in set(_without(shape[:_PREFIX], 2)):
                self._far.setdefault(rest, []).append(spelling)
        elif len(shape) >= _ONE_EDIT_FROM - 1:
            for rest in set(_without(shape, 1)):
                self._near.setdefault(rest, []).append(spelling)

    def exact(self, key: str) -> list[Spelling]:
        """Spellings of exactly this key."""
        return self._exact.get(key, [])

    def near(self, key: str) -> list[tuple[Spelling, float]]:
        """Spellings that the key may be a reading of, with their distance from it."""
        shapes = skeletons(key)
        letters = set(shapes[0])
        pairs = (
            (spelling, distance(key, spelling.key, spelling.tolerance))
            for spelling in {id(each): each for shape in shapes for each in self._candidates(shape)}.values()
            if len(letters ^ spelling.shapes) <= (2 if spelling.tolerance <= 1 else 4)
            and abs(len(spelling.key) - len(key)) <= 3
        )
        return [(spelling, cost) for spelling, cost in pairs if cost <= spelling.tolerance]

    def _candidates(self, shape: str) -> list[Spelling]:
        """Spellings whose neighbourhood has something in common with that of a skeleton."""
        found = list(self._alike.get(shape, ()))
        if _ONE_EDIT_FROM - 2 <= len(shape) <= _TWO_EDITS_FROM:
            for rest in _without(shape, 1):
                if rest in self._near:
                    found += self._near[rest]
        if len(shape) >= _TWO_EDITS_FROM - 2:
            for rest in _without(shape[:_PREFIX], 2):
                if rest in self._far:
                    found += self._far[rest]
        return found

    def begins(self, character: str) -> bool:
        """Whether a spelling begins with this very character."""
        return character in self._beginnings

    def starts(self, key: str) -> bool:
        """Whether a spelling of several words may begin with this, and go on."""
        if len(key) > self._longest_start + 2:
            return False
        return any(form in self._starts for shape in skeletons(key) for form in _starting_forms(shape))


def _starting_forms(shape: str) -> list[str]:
    return _without(shape, 1 if len(shape) >= _ONE_EDIT_FROM else 0)


def _without(shape: str, most: int) -> list[str]:
    """What is left when up to `most` letters, two at most, are taken out."""
    rests, size = [shape], len(shape)
    if most >= 1:
        rests += [shape[:place] + shape[place + 1 :] for place in range(size)]
    if most >= 2:
        rests += [
            shape[:first] + shape[first + 1 : second] + shape[second + 1 :]
            for first in range(size)
            for second in range(first + 1, size)
        ]
    return rests
