"""Finds registered word marks in the text of one image."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce

from ostiary_moderation.wordmarks.common import is_common
from ostiary_moderation.wordmarks.index import Index
from ostiary_moderation.wordmarks.layout import Box, Line, Row, has_company, next_lines
from ostiary_moderation.wordmarks.score import Evidence, probability
from ostiary_moderation.wordmarks.spelling import Spelling
from ostiary_moderation.wordmarks.words import AND, Word

_MOST_LINES = 4
"""Lines that one mark may be spread over."""
_MOST_FOUND = 100
_CASED_WORDS = 2
"""Words more than the mark has that its letters may be read as: CalvinKlein, N IKE."""
_GAP = 0.3
"""What each space within a word costs, as `distance` counts."""
_COMPOUND_FROM = 7
_LEAST_PART = 4
_LARGE = 0.6
_LARGE_SHARE = 0.025


@dataclass(frozen=True, slots=True)
class Found:
    """A mark that was read. `score`: how likely that is, 0 to 1. `box`: around the lines it stands in."""

    brand: str
    reference_id: str
    score: float
    box: Box


@dataclass(frozen=True, slots=True)
class _Reading:
    """A row of words that may be a mark: for each line in turn its index, the first word and the one after
    the last.
    """

    key: str
    parts: tuple[tuple[int, int, int], ...]
    compound: bool = False

    @property
    def places(self) -> frozenset[tuple[int, int]]:
        """Every word that it covers."""
        return frozenset((line, word) for line, first, end in self.parts for word in range(first, end))


@dataclass(frozen=True, slots=True)
class _Match:
    """A reading taken for a spelling."""

    spelling: Spelling
    reading: _Reading
    cost: float
    score: float


class Matcher:
    """Compares text with spellings. Never changes: any number of threads may use it."""

    def __init__(self, spellings: Iterable[Spelling], min_score: float) -> None:
        """`min_score`: marks that are less likely are left out."""
        self._index = Index(spellings)
        self._min_score = min_score

    def find(self, lines: Sequence[Line], width: int, height: int) -> list[Found]:
        """The marks in an image of so many pixels, the likeliest first; of several readings of the same words
        the likeliest. The order of the lines does not matter.
        """
        lines = sorted(lines, key=_place)
        page = _Page(lines, min(width, height))
        known: dict[tuple[str, bool], list[tuple[Spelling, float]]] = {}
        matches = []
        for reading in self._readings(lines):
            asked = (reading.key, reading.compound or page.is_plain_language(reading))
            if asked not in known:
                known[asked] = self._spellings(*asked)
            for spelling, cost in known[asked]:
                if reading.compound and spelling.is_common:
                    continue
                score = probability(page.evidence(spelling, reading, cost))
                if score >= self._min_score:
                    matches.append(_Match(spelling, reading, cost, score))
        return [page.found(match) for match in _best(matches)][:_MOST_FOUND]

    def _spellings(self, key: str, literally: bool) -> list[tuple[Spelling, float]]:
        """What a key may be a reading of. Words of the language are no misspelt marks: SPORT is not Snort."""
        if literally or is_common(key):
            return [(spelling, 0.0) for spelling in self._index.exact(key)]
        return self._index.near(key)

    def _readings(self, lines: Sequence[Line]) -> Iterator[_Reading]:
        for number, line in enumerate(lines):
            yield from self._in_line(number, line.words)
            yield from self._in_compounds(number, line.words)
            yield from self._across(number, lines)

    def _in_line(self, number: int, row: Sequence[Word]) -> Iterator[_Reading]:
        """Every run of words of a line that is not too long."""
        most = self._index.most_words + _CASED_WORDS
        for first in range(len(row)):
            if row[first].ideogram and not self._index.begins(row[first].key):
                continue
            key = ""
            for end in range(first + 1, min(len(row), first + most) + 1):
                key += row[end - 1].key
                if len(key) > self._index.most_letters + _CASED_WORDS:
                    break
                if row[first].key != AND and row[end - 1].key != AND:
                    yield _Reading(key, ((number, first, end),))

    def _in_compounds(self, number: int, row: Sequence[Word]) -> Iterator[_Reading]:
        """The parts of long words whose other part is a common word: nikeair, adidasoriginals."""
        for place, word in enumerate(row):
            if len(word.key) < _COMPOUND_FROM or word.ideogram or is_common(word.key):
                continue
            for cut in range(_LEAST_PART - 1, len(word.key) - _LEAST_PART + 2):
                for part, rest in (
                    (word.key[:cut], word.key[cut:]),
                    (word.key[cut:], word.key[:cut]),
                ):
                    if len(part) >= _LEAST_PART and self._index.exact(part) and is_common(rest):
                        yield _Reading(part, ((number, place, place + 1),), compound=True)

    def _across(self, number: int, lines: Sequence[Line]) -> Iterator[_Reading]:
        """Words from the end of a line on, continued at the beginning of the next ones."""
        row = lines[number].words
        for first in range(max(0, len(row) - self._index.most_words), len(row)):
            key = "".join(word.key for word in row[first:])
            if self._index.starts(key):
                parts = ((number, first, len(row)),)
                yield from self._continued(key, parts, Row.of(lines[number]), lines)

    def _continued(
        self, key: str, parts: tuple[tuple[int, int, int], ...], row: Row, lines: Sequence[Line]
    ) -> Iterator[_Reading]:
        taken = {line for line, _, _ in parts}
        for number, after in next_lines(row, lines):
            if number in taken:
                continue
            longer, following = key, lines[number].words
            for end in range(1, len(following) + 1):
                longer += following[end - 1].key
                if len(longer) > self._index.most_letters + _CASED_WORDS:
                    break
                whole = (*parts, (number, 0, end))
                yield _Reading(longer, whole)
                if end == len(following) and len(whole) < _MOST_LINES and self._index.starts(longer):
                    yield from self._continued(longer, whole, after, lines)


class _Page:
    """The lines of one image, and what can be said of readings in them."""

    def __init__(self, lines: Sequence[Line], shorter_side: int) -> None:
        self._lines = lines
        self._side = shorter_side
        self._plain = [[word.key == AND or is_common(word.key) for word in line.words] for line in lines]
        self._largest = max((line.letter_height for line in lines), default=0.0)

    def evidence(self, spelling: Spelling, reading: _Reading, cost: float) -> Evidence:
        """What speaks for a reading as this spelling."""
        lines = [self._lines[number] for number, _, _ in reading.parts]
        pieces = self._words(reading)
        apart = len(pieces) - sum(word.glued for word in pieces[1:])
        # "Best seller" may be Bestseller, and is what anybody says.
        taken_apart = len(pieces) > len(spelling.words) and self.is_plain_language(reading)
        common = spelling.is_common or taken_apart
        height = min(line.letter_height for line in lines)
        whole = not reading.compound and all(
            (first, end) == (0, len(self._lines[number].words)) for number, first, end in reading.parts
        )
        return Evidence(
            letters=spelling.letters,
            cost=cost + _GAP * max(0, apart - len(spelling.words)),
            confidence=min(line.confidence for line in lines),
            height=height / self._side,
            whole=whole,
            glued=1 if reading.compound else self._glued(reading),
            lines=len(lines),
            common=common,
            telling=spelling.is_telling and not taken_apart,
            alone=whole and common and self._is_alone(reading),
            large=height >= _LARGE * self._largest and height >= _LARGE_SHARE * self._side,
            as_registered=_cased(spelling.text) == "".join(self._texts(reading)),
            signed=pieces[-1].signed,
        )

    def found(self, match: _Match) -> Found:
        """The match with its place."""
        boxes = [self._lines[number].box for number, _, _ in match.reading.parts]
        spelling = match.spelling
        return Found(spelling.brand, spelling.reference_id, match.score, reduce(Box.union, boxes))

    def is_plain_language(self, reading: _Reading) -> bool:
        """Whether its words are all words of the language."""
        return all(all(self._plain[line][first:end]) for line, first, end in reading.parts)

    def _words(self, reading: _Reading) -> list[Word]:
        return [word for number, first, end in reading.parts for word in self._lines[number].words[first:end]]

    def _glued(self, reading: _Reading) -> int:
        """Ends of a reading at which its line goes on without a gap."""
        number, first, _ = reading.parts[0]
        last, _, end = reading.parts[-1]
        after = self._lines[last].words[end : end + 1]
        return int(self._lines[number].words[first].glued) + sum(word.glued for word in after)

    def _is_alone(self, reading: _Reading) -> bool:
        numbers = {number for number, _, _ in reading.parts}
        others = [line for number, line in enumerate(self._lines) if number not in numbers]
        return not any(has_company(self._lines[number], others) for number in numbers)

    def _texts(self, reading: _Reading) -> Iterator[str]:
        for number, first, end in reading.parts:
            line = self._lines[number]
            yield _cased(line.text[line.words[first].start : line.words[end - 1].end])


def _cased(text: str) -> str:
    return "".join(character for character in text if character.isalnum())


def _place(line: Line) -> tuple[float, float, float, float, str, float]:
    box = line.box
    return box.top, box.left, box.bottom, box.right, line.text, line.confidence


def _best(matches: Iterable[_Match]) -> Iterator[_Match]:
    """The likeliest match of every group of words; two brands only where both are registered just so."""
    taken: dict[tuple[int, int], _Match] = {}
    for match in sorted(matches, key=_rank):
        places = match.reading.places
        rivals = {id(taken[place]): taken[place] for place in places if place in taken}
        if all(_is_equal(match, rival) for rival in rivals.values()):
            taken.update(dict.fromkeys(places, match))
            yield match


def _rank(match: _Match) -> tuple[float, float, str, str]:
    return -match.score, match.cost, match.spelling.brand, match.spelling.reference_id


def _is_equal(match: _Match, rival: _Match) -> bool:
    return (
        match.spelling.brand != rival.spelling.brand
        and match.reading.parts == rival.reading.parts
        and (match.cost, match.spelling.key) == (rival.cost, rival.spelling.key)
    )
