"""Which forward pass comes next. Pure: no tensors, no threads, no clock of its own.

Sequences wait in one line. A *prefill* takes those from its front that can share a forward pass; those that
want a description get a decode row with it. A *decode* step writes one token for every row. Neither starves
the other: at least one decode step follows every prefill, and more until decoding has had its share of the
time; while nothing is owed to it, whoever waits goes first.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar


class Schedulable(Protocol):
    """What the scheduler needs to know of a sequence."""

    row: int | None

    @property
    def key(self) -> object:
        """Sequences of equal keys can share a forward pass."""
        ...

    @property
    def tokens(self) -> int:
        """Of its forward pass."""
        ...

    @property
    def wants_row(self) -> bool:
        """Whether a description will be decoded."""
        ...

    @property
    def cancelled(self) -> bool:
        """Whether nobody waits for it any more."""
        ...

    @property
    def deadline(self) -> float | None:
        """When nobody will wait for it any more."""
        ...


S = TypeVar("S", bound=Schedulable)


@dataclass(frozen=True)
class Prefill(Generic[S]):
    """A forward pass over images of one grid with one pack of questions."""

    sequences: tuple[S, ...]


@dataclass(frozen=True)
class Decode(Generic[S]):
    """One token for each of these, which stand in consecutive rows from `first`. `part`: other rows in use
    have their turn later.
    """

    sequences: tuple[S, ...]
    first: int
    part: bool = False


@dataclass(frozen=True)
class Move:
    """A row to copy before the next step, so that rows stay compact."""

    source: int
    target: int


class Scheduler(Generic[S]):
    """`rows`: descriptions written at once. `prefill_tokens`: most tokens of one prefill; a sequence that is
    longer by itself goes alone. `decode_share`: time owed to decoding for a second of prefill, in seconds.
    """

    def __init__(self, rows: int, prefill_tokens: int, decode_share: float = 0.5) -> None:
        self._limit, self._budget, self._share = rows, prefill_tokens, decode_share
        self._line: deque[S] = deque()
        self._rows: list[S | None] = []  # by row; None: its description ended since the last compaction
        self._halves: deque[Prefill[S] | Decode[S]] = deque()
        self._owed = 0.0
        self._decode_next = False

    @property
    def waiting(self) -> int:
        """Sequences that wait for their forward pass."""
        return len(self._line) + sum(
            len(half.sequences) for half in self._halves if isinstance(half, Prefill)
        )

    @property
    def running(self) -> int:
        """Descriptions that are being written."""
        return sum(1 for sequence in self._rows if sequence is not None)

    def add(self, sequences: Iterable[S]) -> None:
        """To the end of the line."""
        self._line.extend(sequences)

    def put_first(self, sequence: S) -> None:
        """To the front of the line: it has waited before."""
        self._line.appendleft(sequence)

    def sweep(self, now: float) -> list[S]:
        """Removes the cancelled and the expired, waiting or running, frees their rows and returns them."""
        gone = [sequence for sequence in self._line if _gone(sequence, now)]
        if gone:
            self._line = deque(sequence for sequence in self._line if not _gone(sequence, now))
        for index, half in enumerate(self._halves):
            if isinstance(half, Prefill):
                gone += [sequence for sequence in half.sequences if _gone(sequence, now)]
                left = tuple(sequence for sequence in half.sequences if not _gone(sequence, now))
                self._halves[index] = Prefill(left)
        for sequence in gone:
            self.leave(sequence)
        running = [sequence for sequence in self._rows if sequence is not None and _gone(sequence, now)]
        for sequence in running:
            self.leave(sequence)
        return gone + running

    def compact(self) -> list[Move]:
        """Closes the gaps that ended descriptions left. The moves are to be carried out in order."""
        if self._halves:
            return []  # their rows must stay where they are
        moves: list[Move] = []
        row = 0
        while row < len(self._rows):
            if (last := self._rows[-1]) is None:
                self._rows.pop()
                continue
            if self._rows[row] is None:
                moves.append(Move(len(self._rows) - 1, row))
                self._rows[row], last.row = last, row
                self._rows.pop()
            row += 1
        return moves

    def next(self) -> Prefill[S] | Decode[S] | None:
        """The next step; None when there is nothing to do. Call `compact` before it, and `done` or `split`
        after it.
        """
        while self._halves:
            if (half := self._halves.popleft()).sequences:
                return half
        rows = tuple(sequence for sequence in self._rows if sequence is not None)
        if rows and (self._decode_next or self._owed > 0):
            return Decode(rows, 0)
        if batch := self._batch():
            return Prefill(batch)
        return Decode(rows, 0) if rows else None

    def done(self, step: Prefill[S] | Decode[S], seconds: float) -> None:
        """A step was carried out in so much time."""
        if isinstance(step, Decode):
            self._decode_next, self._owed = False, max(0.0, self._owed - seconds)
        else:
            self._decode_next, self._owed = True, self._owed + self._share * seconds
        if not self.running:
            self._decode_next, self._owed = False, 0.0

    def split(self, step: Prefill[S] | Decode[S]) -> bool:
        """Memory ran out in a step: its halves come next. False where it is of one sequence, which leaves."""
        sequences = step.sequences
        if len(sequences) == 1:
            self.leave(sequences[0])
            return False
        middle = len(sequences) // 2
        parts: tuple[Prefill[S] | Decode[S], ...]
        if isinstance(step, Decode):
            parts = (
                Decode(sequences[:middle], step.first, part=True),
                Decode(sequences[middle:], step.first + middle, part=True),
            )
        else:
            parts = Prefill(sequences[:middle]), Prefill(sequences[middle:])
        self._halves.extendleft(reversed(parts))
        return True

    def leave(self, sequence: S) -> None:
        """Frees a sequence's row, where it has one."""
        if sequence.row is not None:
            self._rows[sequence.row] = None
            sequence.row = None

    def clear(self) -> list[S]:
        """Removes everything and returns it."""
        halves = [sequence for half in self._halves for sequence in half.sequences]
        rows = [sequence for sequence in self._rows if sequence is not None]
        everything = list(dict.fromkeys([*self._line, *halves, *rows]))
        for sequence in rows:
            self.leave(sequence)
        self._line.clear()
        self._halves.clear()
        self._rows.clear()
        return everything

    def _batch(self) -> tuple[S, ...]:
        """From the line: the first that can go, and those behind it that can share its forward pass."""
        batch: list[S] = []
        tokens, free = 0, self._limit - len(self._rows)
        for sequence in self._line:
            if sequence.wants_row and free == 0:
                continue
            if batch and (sequence.key != batch[0].key or tokens + sequence.tokens > self._budget):
                continue
            batch.append(sequence)
            tokens += sequence.tokens
            free -= sequence.wants_row
            if tokens >= self._budget:
                break
        taken = set(map(id, batch))
        self._line = deque(sequence for sequence in self._line if id(sequence) not in taken)
        for sequence in batch:
            if sequence.wants_row:
                sequence.row = len(self._rows)
                self._rows.append(sequence)
        return tuple(batch)


def _gone(sequence: Schedulable, now: float) -> bool:
    return sequence.cancelled or (sequence.deadline is not None and now > sequence.deadline)
