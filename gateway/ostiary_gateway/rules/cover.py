"""Which places of a text are taken: overlap in the time of the overlap, however many ranges there are."""

from collections.abc import Iterable

Range = tuple[int, int]


class Cover:
    """Places of a text of `length` characters that some range takes."""

    def __init__(self, length: int, ranges: Iterable[Range] = ()) -> None:
        self._taken = bytearray(length)
        self.add(ranges)

    def add(self, ranges: Iterable[Range]) -> None:
        """Take the places of `ranges`, each from its start to before its end."""
        for start, end in ranges:
            self._taken[start:end] = b"\x01" * (end - start)

    def without(self, ranges: Iterable[Range]) -> list[Range]:
        """Those of `ranges` that touch no taken place."""
        return [(start, end) for start, end in ranges if not any(self._taken[start:end])]
