"""A spelling of a word mark, and what can be expected of one that is read."""

from dataclasses import dataclass
from functools import cached_property

from ostiary_moderation.wordmarks.common import is_common
from ostiary_moderation.wordmarks.distance import skeletons
from ostiary_moderation.wordmarks.words import AND, words

MOST_LETTERS = 60
MOST_WORDS = 8
_LEAST_LETTERS = 2
_FEW_LETTERS = 3


class DegenerateError(ValueError):
    """A spelling that says too little, or too much, to be looked for; the message says what to do."""


@dataclass(frozen=True)
class Spelling:
    """One way to write a word mark.

    `text`: as registered. `words`: the keys of its words. `ideograms`: it holds Chinese or Japanese
    characters.
    """

    brand: str
    reference_id: str
    text: str
    words: tuple[str, ...]
    ideograms: bool

    @classmethod
    def of(cls, brand: str, reference_id: str, text: str) -> "Spelling":
        """The spelling of a registered word.

        Raises:
            DegenerateError: one letter, no letter, or too many.
        """
        found = words(text)
        spelling = cls(
            brand=brand,
            reference_id=reference_id,
            text=text,
            words=tuple(word.key for word in found),
            ideograms=any(word.ideogram for word in found),
        )
        if spelling.letters < _LEAST_LETTERS:
            raise DegenerateError("fewer than two letters would be found anywhere: register more of the mark")
        if len(spelling.key) > MOST_LETTERS or (len(spelling.words) > MOST_WORDS and not spelling.ideograms):
            raise DegenerateError(
                f"more than {MOST_WORDS} words or {MOST_LETTERS} letters is no word mark: register its words"
            )
        return spelling

    @cached_property
    def key(self) -> str:
        """Its letters in a row."""
        return "".join(self.words)

    @cached_property
    def shapes(self) -> frozenset[str]:
        """The kinds of letter in its skeleton."""
        return frozenset(skeletons(self.key)[0])

    @cached_property
    def letters(self) -> int:
        """How much it says, in Latin letters: a Chinese character counts as two."""
        return (1 + self.ideograms) * len(self.key.replace(AND, ""))

    @cached_property
    def is_common(self) -> bool:
        """Whether it would stand on products anyway: a common word or two, a number, a few letters."""
        if self.letters <= _FEW_LETTERS or is_common(self.key):
            return True
        return not self.ideograms and all(word == AND or is_common(word) for word in self.words)

    @cached_property
    def is_telling(self) -> bool:
        """Whether, common as it is, it says more than one word of the language does: two such words in a row,
        or a few letters that are no word.
        """
        return not self.ideograms and (len(self.words) > 1 or not is_common(self.key))

    @cached_property
    def tolerance(self) -> float:
        """The distance up to which a reading may be of it: none for few letters, some look-alikes for four,
        an edit from five letters on, two from twelve.
        """
        if self.letters <= _FEW_LETTERS or (self.ideograms and len(self.key) < 5):
            return 0.0
        if self.letters == 4:
            return 0.5
        return 1.0 if self.letters < 8 else 1.5 if self.letters < 12 else 2.0
