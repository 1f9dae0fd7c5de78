"""What listings claim in words, and what that may look like: a policy's vocabulary, ready to be asked.

Words are looked for in the same reading of a text as rules see (rules/normal.py), so that width, case and
letters set apart make no difference.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ostiary.v1.config_pb2 import Term, Vocabulary
from ostiary.v1.listing_pb2 import Listing
from ostiary_gateway.rules.normal import read

# What separates the levels of a category: "Women > Shoes"
_LEVEL = re.compile(r"[>›»→|\\]")
# In descriptions a colour counts where it is given as one: "goes with black trousers" claims nothing.
_COLOUR_GIVEN = re.compile(
    r"(?:colou?rs?|[颜顏]色(?:分[类類])?|色[号號])\s*[:：=]\s*([^\n.;。；]{1,80})", re.IGNORECASE
)
_JOINT = re.compile(r"[ \-]")
_LATIN = "a-z0-9"
_PLURALS = ("s", "es")


@dataclass(frozen=True)
class Mention:
    """A word of the vocabulary that stands in a text: the terms it is a word for, and how it stands there."""

    terms: frozenset[str]
    words: str


@dataclass(frozen=True)
class Claim:
    """What a listing claims its product to be.

    Attributes:
        field: `category`, `title` or `description`: where the first of the words stands.
        terms: names of the terms that are mentioned; never empty.
        words: the words, as they stand there.
    """

    field: str
    terms: frozenset[str]
    words: tuple[str, ...]


class Lexicon:
    """The terms of one kind."""

    def __init__(self, terms: Iterable[Term] = ()) -> None:
        terms = list(terms)
        self._seen = {term.name: frozenset(term.seen) for term in terms}
        self._terms: dict[str, frozenset[str]] = {}
        readings = [(read(word).text, term.name) for term in terms for word in term.words]
        for word, name in readings:
            self._terms[_bare(word)] = self._terms.get(_bare(word), frozenset()) | {name}
        self._pattern = _pattern(word for word, _ in readings)

    @property
    def names(self) -> frozenset[str]:
        """The names of the terms."""
        return frozenset(self._seen)

    @property
    def values(self) -> frozenset[str]:
        """All values that agree with some term: what can be seen and compared."""
        return frozenset[str]().union(*self._seen.values())

    def mentions(self, text: str) -> list[Mention]:
        """The words of the vocabulary in `text`: at each place the longest, and none within another."""
        reading = read(text)
        return [
            Mention(self._terms_of(found[0]), text[slice(*reading.source_range(*found.span()))])
            for found in self._pattern.finditer(reading.text)
        ]

    def agreeing(self, terms: Iterable[str]) -> frozenset[str] | None:
        """The values that agree with any of the terms; None where one agrees with whatever is seen."""
        each = [self._seen[term] for term in terms]
        return frozenset[str]().union(*each) if all(each) else None

    def _terms_of(self, found: str) -> frozenset[str]:
        """The terms of a word as it was found, in the singular or the plural."""
        key = _bare(found)
        singulars = [key.removesuffix(ending) for ending in _PLURALS]
        return next(self._terms[word] for word in (key, *singulars) if word in self._terms)


@dataclass(frozen=True)
class Words:
    """A policy's vocabulary."""

    categories: Lexicon
    colours: Lexicon

    def categories_of(self, listing: Listing) -> frozenset[str]:
        """Names of all categories that the listing's category mentions, at whatever level."""
        return frozenset[str]().union(*(found.terms for found in self.categories.mentions(listing.category)))

    def claimed_category(self, listing: Listing) -> Claim | None:
        """The category at the deepest level that the vocabulary knows; None where it knows none."""
        for level in reversed(_LEVEL.split(listing.category)):
            if claim := _claim([("category", self.categories.mentions(level))]):
                return claim
        return None

    def claimed_colour(self, listing: Listing) -> Claim | None:
        """The colours that the title names and that the description gives as colours; None without any."""
        given = _COLOUR_GIVEN.findall(listing.description)
        texts = [("title", listing.title), *(("description", text) for text in given)]
        return _claim([(field, self.colours.mentions(text)) for field, text in texts])


def compiled(vocabulary: Vocabulary) -> Words:
    """The vocabulary, ready to be asked.

    Raises:
        ValueError: in words: what is wrong where.
    """
    _check("vocabulary.categories", vocabulary.categories)
    _check("vocabulary.colours", vocabulary.colours)
    return Words(Lexicon(vocabulary.categories), Lexicon(vocabulary.colours))


def _check(path: str, terms: Iterable[Term]) -> None:
    known: set[str] = set()
    for index, term in enumerate(terms):
        here = f"{path}[{index}]"
        if not term.name or term.name in known:
            raise ValueError(f"{here}.name: a name of its own is needed, such as `swimwear`")
        known.add(term.name)
        if not term.words:
            raise ValueError(f"{here}.words: give at least one, or leave {term.name} out")
        for word in term.words:
            if not _bare(read(word).text):
                raise ValueError(f"{here}.words: {word!r} holds nothing that could be looked for")


def _claim(mentions: Sequence[tuple[str, Sequence[Mention]]]) -> Claim | None:
    """What is mentioned, by field; None where nothing is."""
    found = [(field, mention) for field, each in mentions for mention in each]
    if not found:
        return None
    terms = frozenset[str]().union(*(mention.terms for _, mention in found))
    return Claim(found[0][0], terms, tuple(mention.words for _, mention in found))


def _bare(word: str) -> str:
    return _JOINT.sub("", word)


def _pattern(words: Iterable[str]) -> re.Pattern[str]:
    """Finds the words, the longest first; Latin ones whole, in the singular or the plural."""
    longest_first = sorted(set(words), key=lambda word: (-len(word), word))
    latin = [_alternative(word) for word in longest_first if re.match(f"[{_LATIN}]", word)]
    others = [_alternative(word) for word in longest_first if not re.match(f"[{_LATIN}]", word)]
    # Where a word begins is asked once for all that are Latin, not once for each.
    whole = [rf"(?<![{_LATIN}])(?:{'|'.join(latin)})"] if latin else []
    return re.compile("|".join(whole + others) or r"(?!)")


def _alternative(word: str) -> str:
    parts = "[ -]?".join(re.escape(part) for part in _JOINT.split(word) if part)
    after = rf"(?:e?s)?(?![{_LATIN}])" if re.search(f"[{_LATIN}]$", word) else ""
    return parts + after


NO_WORDS = Words(Lexicon(), Lexicon())
