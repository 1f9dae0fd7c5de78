"""The contract of export formats."""

from collections.abc import Iterator, Sequence
from typing import Protocol

from ostiary_gateway.review.cases import Case

CHUNK_BYTES = 1024 * 1024


class Encoder(Protocol):
    """Writes cases in one format, page by page; holds no more than a page or two."""

    def head(self) -> bytes:
        """What comes first."""
        ...

    def cases(self, page: Sequence[Case], now_us: int) -> bytes:
        """A page of cases as they stand at a time, microseconds since 1970; it may come with a later page."""
        ...

    def tail(self) -> bytes:
        """What comes last."""
        ...


def chunks(data: bytes) -> Iterator[bytes]:
    """The bytes in pieces that a message takes; none where there are none."""
    for start in range(0, len(data), CHUNK_BYTES):
        yield data[start : start + CHUNK_BYTES]
