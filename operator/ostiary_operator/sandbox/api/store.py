"""Every object, every change in order, and those who watch; in memory, with a journal.

One revision counts all writes, as etcd's does: it is each object's `resourceVersion` and each list's. Stored
objects are never changed in place, so that readers need no copies.
"""

import json
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from ostiary_operator.sandbox.api.values import encoded

Json = dict[str, Any]
Key = tuple[str, str]
"""Namespace (empty for what has none) and name."""
Bucket = str
"""`plural.group`, under which all versions of a resource are stored."""

ADDED, MODIFIED, DELETED = "ADDED", "MODIFIED", "DELETED"


class Stored:
    """One version of one object."""

    __slots__ = ("_raw", "data", "revision")

    def __init__(self, data: Json, revision: int) -> None:
        self.data = data
        self.revision = revision
        self._raw: bytes | None = None

    @property
    def raw(self) -> bytes:
        """The object as JSON, encoded once."""
        if self._raw is None:
            self._raw = encoded(self.data)
        return self._raw


@dataclass(frozen=True, slots=True)
class Event:
    """One change: what was before and what is now (for a deletion, what was last)."""

    revision: int
    type: str
    key: Key
    now: Stored
    before: Stored | None


@dataclass
class _Shelf:
    objects: dict[Key, Stored] = field(default_factory=dict)
    events: deque[Event] = field(default_factory=deque)
    floor: int = 0
    listeners: dict[int, Callable[[Event], None]] = field(default_factory=dict)


class GoneError(Exception):
    """A revision that is no longer kept."""

    def __init__(self, asked: int, oldest: int) -> None:
        super().__init__(f"too old resource version: {asked} ({oldest})")


class RacedError(Exception):
    """A write whose object changed, came or went since it was read."""


class Store:
    """All objects and their recent history."""

    def __init__(self, journal: Path | None = None, window: int = 10_000) -> None:
        """`journal` is read, then appended to; `window` is how many events of a resource are kept."""
        self.revision = 1
        self._shelves: dict[Bucket, _Shelf] = {}
        self._window = window
        self._tickets = 0
        self._everything: dict[int, Callable[[Bucket, Event], None]] = {}
        self._journal: IO[bytes] | None = None
        if journal is not None:
            self._replay(journal)
            self._journal = journal.open("ab")

    def get(self, bucket: Bucket, key: Key) -> Stored | None:
        """The object as it is, or None."""
        shelf = self._shelves.get(bucket)
        return shelf.objects.get(key) if shelf else None

    def items(self, bucket: Bucket, namespace: str | None = None) -> list[tuple[Key, Stored]]:
        """All objects of a resource, or of one namespace, by key."""
        shelf = self._shelves.setdefault(bucket, _Shelf(floor=self.revision))
        entries = shelf.objects.items()
        return sorted(
            (item for item in entries if namespace is None or item[0][0] == namespace),
            key=lambda item: item[0],
        )

    def objects(self, bucket: Bucket, namespace: str | None = None) -> list[Json]:
        """The objects of `items`, bare."""
        return [stored.data for _, stored in self.items(bucket, namespace)]

    def buckets(self) -> list[Bucket]:
        """Every resource that has or had objects."""
        return list(self._shelves)

    def listed_at(self, bucket: Bucket, revision: int, namespace: str | None) -> list[tuple[Key, Stored]]:
        """All objects as they were at a revision; GoneError where that is not kept."""
        shelf = self._shelves.setdefault(bucket, _Shelf(floor=self.revision))
        if revision < shelf.floor:
            raise GoneError(revision, shelf.floor)
        objects = dict(shelf.objects)
        for event in reversed(shelf.events):
            if event.revision <= revision:
                break
            if event.before is None:
                objects.pop(event.key, None)
            else:
                objects[event.key] = event.before
        return sorted(
            (item for item in objects.items() if namespace is None or item[0][0] == namespace),
            key=lambda item: item[0],
        )

    def put(self, bucket: Bucket, key: Key, data: Json, expected: Stored | None) -> Stored:
        """Writes an object over `expected` (None: there must be none); RacedError where that is not so."""
        shelf = self._shelves.setdefault(bucket, _Shelf(floor=self.revision))
        before = shelf.objects.get(key)
        if before is not expected:
            raise RacedError
        self.revision += 1
        data["metadata"]["resourceVersion"] = str(self.revision)
        now = Stored(data, self.revision)
        shelf.objects[key] = now
        self._record(bucket, shelf, Event(self.revision, MODIFIED if before else ADDED, key, now, before))
        return now

    def remove(self, bucket: Bucket, key: Key, expected: Stored) -> Stored:
        """Removes an object; RacedError where it is not `expected` any more."""
        shelf = self._shelves.setdefault(bucket, _Shelf(floor=self.revision))
        before = shelf.objects.get(key)
        if before is not expected:
            raise RacedError
        del shelf.objects[key]
        self.revision += 1
        metadata = expected.data["metadata"] | {"resourceVersion": str(self.revision)}
        last = Stored(expected.data | {"metadata": metadata}, self.revision)
        self._record(bucket, shelf, Event(self.revision, DELETED, key, last, before))
        return last

    def since(self, bucket: Bucket, revision: int) -> Iterator[Event]:
        """The changes after a revision; GoneError where they are not all kept."""
        shelf = self._shelves.setdefault(bucket, _Shelf(floor=self.revision))
        if revision < shelf.floor:
            raise GoneError(revision, shelf.floor)
        return iter([event for event in shelf.events if event.revision > revision])

    def listen(self, bucket: Bucket, hear: Callable[[Event], None]) -> Callable[[], None]:
        """Calls `hear` with each change of a resource until the returned function is called."""
        shelf = self._shelves.setdefault(bucket, _Shelf(floor=self.revision))
        self._tickets += 1
        ticket = self._tickets
        shelf.listeners[ticket] = hear
        return lambda: (shelf.listeners.pop(ticket, None), None)[1]

    def listen_to_all(self, hear: Callable[[Bucket, Event], None]) -> Callable[[], None]:
        """Calls `hear` with each change of anything until the returned function is called."""
        self._tickets += 1
        ticket = self._tickets
        self._everything[ticket] = hear
        return lambda: (self._everything.pop(ticket, None), None)[1]

    def compact(self) -> None:
        """Forgets all history: whoever reads or watches from an earlier revision is told that it is gone."""
        for shelf in self._shelves.values():
            shelf.events.clear()
            shelf.floor = self.revision

    def close(self) -> None:
        """Closes the journal."""
        if self._journal is not None:
            self._journal.close()
            self._journal = None

    def _record(self, bucket: Bucket, shelf: _Shelf, event: Event) -> None:
        shelf.events.append(event)
        if len(shelf.events) > self._window:
            shelf.floor = shelf.events.popleft().revision
        if self._journal is not None:
            gone = event.type == DELETED
            head = encoded([self.revision, bucket, *event.key])[:-1]
            self._journal.write(head + b"," + (b"null" if gone else event.now.raw) + b"]\n")
            self._journal.flush()
        for hear in tuple(shelf.listeners.values()):
            hear(event)
        for hear_all in tuple(self._everything.values()):
            hear_all(bucket, event)

    def _replay(self, journal: Path) -> None:
        """Reads what was written; a last line that was cut off by a crash never happened."""
        whole = 0
        for number, line in enumerate(
            journal.read_bytes().splitlines(keepends=True) if journal.exists() else (), 1
        ):
            if not line.endswith(b"\n"):
                break
            try:
                revision, bucket, namespace, name, data = json.loads(line)
            except ValueError as error:
                raise ValueError(
                    f"{journal}:{number} is damaged ({error}): move the file away for an empty cluster"
                ) from error
            whole += len(line)
            shelf = self._shelves.setdefault(bucket, _Shelf(floor=self.revision))
            if data is None:
                shelf.objects.pop((namespace, name), None)
            else:
                shelf.objects[(namespace, name)] = Stored(data, revision)
            self.revision = revision
        if journal.exists() and journal.stat().st_size > whole:
            with journal.open("r+b") as file:
                file.truncate(whole)
        for shelf in self._shelves.values():
            shelf.floor = self.revision
