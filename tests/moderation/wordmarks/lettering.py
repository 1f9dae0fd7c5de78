"""Lines of print with places, as OCR reports them, and galleries to compare them with."""

from ostiary_moderation.wordmarks.layout import Box, Line
from ostiary_moderation.wordmarks.matcher import Found, Matcher
from ostiary_moderation.wordmarks.spelling import Spelling
from ostiary_moderation.wordmarks.words import words

WIDTH, HEIGHT = 800, 800


def line(text: str, x: float = 100, y: float = 100, size: float = 40, confidence: float = 0.98) -> Line:
    """Print of `size` pixels, as wide as its letters take."""
    letters = sum(1.7 if word.ideogram else len(word.key) for word in words(text)) or 1
    return Line(text, confidence, Box(x, y, x + max(letters * 0.6, 0.7) * size, y + size))


def stacked(*texts: str, size: float = 40) -> list[Line]:
    """Lines one below another, aligned at their left."""
    return [line(text, y=100 + 1.3 * size * number, size=size) for number, text in enumerate(texts)]


def matcher(*marks: str, min_score: float = 0.2) -> Matcher:
    """Knows these marks, each a brand of its own that is called as the mark is."""
    return Matcher([Spelling.of(mark, f"{mark} word", mark) for mark in marks], min_score)


def found(known: Matcher, *lines: Line) -> list[Found]:
    """What is found on a square page."""
    return known.find(lines, WIDTH, HEIGHT)


def scores(known: Matcher, *lines: Line) -> dict[str, float]:
    """Brand → its best score."""
    best: dict[str, float] = {}
    for each in found(known, *lines):
        best[each.brand] = max(each.score, best.get(each.brand, 0.0))
    return best
