"""Checks the store against the published log: every commitment, every column, nothing more or less."""

from collections.abc import Iterator, Sequence
from typing import Any

from google.protobuf.message import Message

from ostiary.cli.audit.database import Database, Row
from ostiary.cli.audit.problem import Tampered
from ostiary.cli.audit.walk import Step
from ostiary.tlog.checkpoint import open_checkpoint
from ostiary.tlog.entry import EVENT, SALT_BYTES, commit
from ostiary.tlog.note import VerifierKey
from ostiary.tlog.tiles import hashes_at, levels
from ostiary.v1.record_pb2 import DecisionRecord, EventRecord

_ROWS = """
    SELECT e.log_index, e.data, e.leaf_hash, d.salt, d.record, d.created_us,
           d.check_id, d.tenant, d.caller, d.idempotency_key, d.request_sha256,
           c.salt, c.record, c.created_us, c.check_id, c.tenant, c.kind
    FROM entries e LEFT JOIN decisions d ON d.log_index = e.log_index
                   LEFT JOIN case_events c ON c.log_index = e.log_index
    WHERE e.log_index >= ? ORDER BY e.log_index
"""
_COLUMNS = ("check_id", "tenant", "caller", "idempotency_key", "request_sha256")
_EVENT_COLUMNS = ("check_id", "tenant", "kind")
_DECISION_END = 6 + len(_COLUMNS)
# Salt and record of what was erased.
_NOTHING = (b"", b"")
# Its caller, idempotency key and request's digest.
_NOBODY = ("", "", b"")
_CHECKPOINTS = "SELECT size, note FROM checkpoints WHERE size > ? ORDER BY size"
# In the order in which a growing log completes them.
_NODES = """
    SELECT level, node_index, hash FROM nodes
    WHERE CAST(node_index + 1 AS BIGINT) << (8 * level) > ?
    ORDER BY CAST(node_index + 1 AS BIGINT) << (8 * level), level
"""


class StoreCheck:
    """Compares the store with the walk, entry by entry. Methods raise Tampered, and what `Database` does."""

    def __init__(self, database: Database, key: VerifierKey) -> None:
        """`key` is the log's, as the auditor trusts it."""
        self._database = database
        self._key = key
        self.size = 0
        self.decisions = 0
        self._blank: set[int] = set()
        self._rows = self._checkpoints = self._nodes = _none()
        self._next_checkpoint: Any = None

    def check_whole(self) -> None:
        """What the database itself can tell, and that it is of this log."""
        damage = self._database.damage()
        if damage is not None:
            raise Tampered(f"the store is damaged: {damage}")
        keys = [row[0] for row in self._database.select("SELECT verifier_key FROM logs")]
        if keys != [str(self._key)]:
            raise Tampered(f"the store names another log than {self._key}")

    def refresh(self, walked: int) -> None:
        """Look at the store as it is now, from entry `walked` on; whole by itself, or Tampered is raised."""
        self._database.begin()
        self.size = self._count_whole()
        self._rows = self._database.select(_ROWS, walked)
        self._checkpoints = self._database.select(_CHECKPOINTS, walked)
        self._nodes = self._database.select(_NODES, walked)
        self._next_checkpoint = next(self._checkpoints, None)

    def _count_whole(self) -> int:
        """How many entries there are, each with a decision or an event; nothing may be left over."""
        query = (
            "SELECT (SELECT count(*) FROM entries), (SELECT count(*) FROM decisions), "
            "(SELECT count(*) FROM case_events), "
            "(SELECT count(*) FROM nodes), (SELECT max(size) FROM checkpoints), "
            "(SELECT count(*) FROM checkpoints WHERE size < 1)"
        )
        ((entries, decisions, events, nodes, signed, odd),) = self._database.select(query)
        if decisions + events != entries:
            raise Tampered(
                f"the store has {decisions} decisions and {events} events for {entries} log entries"
            )
        if (signed or 0) != entries or odd:
            raise Tampered(f"the store has {entries} log entries, but signed for {signed or 0}")
        if nodes != sum(hashes_at(entries, level) for level in range(1, levels(entries))):
            raise Tampered("the store's tile hashes are not as many as its log has")
        return int(entries)

    def check(self, step: Step) -> None:
        """Compare one entry, its decision or event, and what the store signed once it held the entry."""
        row = next(self._rows, None)
        if row is None or row[0] != step.index:
            raise Tampered(f"entry {step.index} is published, but the store lacks it", step.index)
        if row[1] != step.data or row[2] != step.leaf_hash:
            raise Tampered(f"entry {step.index} is not in the store as it was published", step.index)
        if step.entry.kind == EVENT:
            self._check_event(step, row)
        else:
            self._check_decision(step, row)
            self.decisions += 1
        for node in step.nodes:
            if next(self._nodes, None) != (node.level, node.index, node.hash):
                raise Tampered(f"the store's tile hashes are wrong at entry {step.index}", step.index)
        if self._next_checkpoint is not None and self._next_checkpoint[0] <= step.tree.size:
            self._check_checkpoint(step, *self._next_checkpoint)
            self._next_checkpoint = next(self._checkpoints, None)

    @property
    def unexplained(self) -> int | None:
        """The first entry walked whose bytes are gone and that no tombstone names; None: there is none."""
        return min(self._blank, default=None)

    def _check_decision(self, step: Step, row: Any) -> None:
        """A decision must be what its entry commits to, and its columns what its record says."""
        found, event = row[3:6], row[_DECISION_END]
        if event is None and found[:2] == _NOTHING:
            self._blank.add(step.index)
            if tuple(row[8:_DECISION_END]) != _NOBODY:
                raise Tampered(f"entry {step.index} was erased in part", step.index)
            _check_time(step, found[2], found[2])
            return
        blob, created_us = _committed(step, "decision", found, event)
        record = DecisionRecord.FromString(blob)
        _check_columns(step, record, _COLUMNS, row[6:_DECISION_END])
        _check_time(step, record.recorded_at.ToMicroseconds(), created_us)

    def _check_event(self, step: Step, row: Any) -> None:
        """Likewise an event."""
        found, columns = row[_DECISION_END : _DECISION_END + 3], row[_DECISION_END + 3 :]
        if row[3] is None and found[:2] == _NOTHING:
            self._blank.add(step.index)
            _check_time(step, found[2], found[2])
            return
        blob, created_us = _committed(step, "event", found, row[3])
        record = EventRecord.FromString(blob)
        _check_columns(step, record, _EVENT_COLUMNS, columns)
        _check_time(step, record.at.ToMicroseconds(), created_us)
        if record.HasField("erasure"):
            # It stands behind what it explains: nothing can be blank before it was erased.
            self._blank -= {record.erasure.log_index, *record.erasure.events}

    def _check_checkpoint(self, step: Step, size: Any, note: Any) -> None:
        try:
            signed = open_checkpoint(note, self._key)
        except (ValueError, TypeError, AttributeError) as error:
            raise Tampered(f"the store's checkpoint over {size} entries: {error}", step.index) from error
        if size != step.tree.size or signed.size != size or signed.root != step.tree.root():
            raise Tampered(f"the store's checkpoint over {size} entries is not of this log", step.index)


def _none() -> Iterator[Row]:
    return iter(())


def _committed(step: Step, what: str, found: Any, other: Any) -> tuple[bytes, Any]:
    """Bytes and time of what the entry commits to; `other` is the salt of what it should not have beside."""
    salt, blob, created_us = found
    if not isinstance(salt, bytes) or not isinstance(blob, bytes):
        raise Tampered(f"entry {step.index} has no {what} in the store", step.index)
    if other is not None or len(salt) != SALT_BYTES or commit(salt, blob) != step.entry.commitment:
        raise Tampered(f"the {what} of entry {step.index} is not the one that was recorded", step.index)
    return blob, created_us


def _check_columns(step: Step, record: Message, columns: Sequence[str], values: Sequence[Any]) -> None:
    for column, value in zip(columns, values, strict=True):
        if getattr(record, column) != value:
            raise Tampered(f"column {column} of entry {step.index} is not what was recorded", step.index)


def _check_time(step: Step, recorded_us: int, created_us: Any) -> None:
    if created_us != recorded_us or round(step.entry.time.timestamp() * 1_000_000) != recorded_us:
        raise Tampered(f"the time of entry {step.index} is not when it was recorded", step.index)
