"""What patterns are matched against: listing texts, and the text of an image put back together."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice, pairwise, takewhile

from ostiary.v1.image_pb2 import Box, Region
from ostiary.v1.listing_pb2 import Listing
from ostiary.v1.observation_pb2 import OcrSpan

# No pattern crosses it: it stands between texts that have nothing to do with one another.
BREAK = "\x00"


@dataclass(frozen=True)
class Piece:
    """Where a part of a document stood in an image: `text[start:end]` is in `region`."""

    start: int
    end: int
    region: Region


@dataclass(frozen=True)
class Document:
    """One text.

    Attributes:
        field: `title`, `description` or `image`.
        text: as it stood; `BREAK` separates what is far apart.
        image_index: zero-based index of the image; None for the listing's texts.
        pieces: for images, where each part stood, in the order of the text.
    """

    field: str
    text: str
    image_index: int | None = None
    pieces: tuple[Piece, ...] = ()

    def regions(self, start: int, end: int) -> list[Region]:
        """The regions that `text[start:end]` touches."""
        first = bisect_right(self.pieces, start, key=lambda piece: piece.end)
        touched = takewhile(lambda piece: piece.start < end, islice(self.pieces, first, None))
        return [piece.region for piece in touched]


def of_listing(listing: Listing) -> list[Document]:
    """The listing's texts that are not empty."""
    texts = (("title", listing.title), ("description", listing.description))
    return [Document(field, text) for field, text in texts if text]


def of_spans(spans: Sequence[OcrSpan]) -> list[Document]:
    """One document per image and frame, in reading order.

    Spans side by side are joined by a space and lines below one another by a line break, because a contact is
    often read in pieces: the app's name here, the number there. Anything farther apart is kept apart.
    """
    frames: dict[tuple[int, int], list[OcrSpan]] = {}
    for span in spans:
        frames.setdefault((span.region.image_index, span.region.frame), []).append(span)
    return [_join(index, _reading_order(frame)) for (index, _), frame in sorted(frames.items())]


def _join(image_index: int, spans: Sequence[OcrSpan]) -> Document:
    separators = ["", *(_separator(left.region.box, right.region.box) for left, right in pairwise(spans))]
    text = ""
    pieces = []
    for separator, span in zip(separators, spans, strict=True):
        text += separator
        pieces.append(Piece(len(text), len(text) + len(span.text), span.region))
        text += span.text.replace(BREAK, " ")
    return Document("image", text, image_index, tuple(pieces))


def _reading_order(spans: Sequence[OcrSpan]) -> list[OcrSpan]:
    """Lines from the top, each from the left; spans that overlap by half in height share a line."""
    lines: list[list[OcrSpan]] = []
    growing: list[list[OcrSpan]] = []
    for span in sorted(spans, key=_middle):
        # Spans come from the top: a line that ends above this one's middle is complete.
        growing = [line for line in growing if _bottom(line[-1]) > _middle(span)]
        line = next((line for line in growing if _same_line(line[-1].region.box, span.region.box)), None)
        if line is None:
            line = []
            lines.append(line)
            growing.append(line)
        line.append(span)
    return [span for line in lines for span in sorted(line, key=lambda span: span.region.box.x)]


def _middle(span: OcrSpan) -> float:
    return span.region.box.y + span.region.box.height / 2


def _bottom(span: OcrSpan) -> int:
    return span.region.box.y + span.region.box.height


def _same_line(a: Box, b: Box) -> bool:
    overlap = min(a.y + a.height, b.y + b.height) - max(a.y, b.y)
    return overlap * 2 > min(a.height, b.height)


def _separator(before: Box, after: Box) -> str:
    height = max(before.height, after.height)
    if _same_line(before, after):
        return " " if after.x - (before.x + before.width) <= 2 * height else BREAK
    gap = after.y - (before.y + before.height)
    beside = min(before.x + before.width, after.x + after.width) - max(before.x, after.x)
    return "\n" if gap <= height and beside > 0 else BREAK
