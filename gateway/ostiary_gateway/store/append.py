"""Adds a batch of decisions and events to the log, inside one transaction of the caller's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection, insert, update

from ostiary.tlog.checkpoint import Checkpoint, sign_checkpoint
from ostiary.tlog.growth import GrowingTree
from ostiary.tlog.note import SignerKey
from ostiary.v1.moderation_pb2 import CheckResponse
from ostiary.v1.record_pb2 import NEXT_REVIEWER_NONE
from ostiary.wire.errors import OstiaryError, Reason
from ostiary_gateway.case_log import OvertakenError, RecordedEvent
from ostiary_gateway.recorder import DuplicateKey, Recorded
from ostiary_gateway.review.standing import ERASED, Standing, after_event
from ostiary_gateway.store import event_queries, queries
from ostiary_gateway.store.case_rows import CASE_ROW, TERM_ROW, case_row, standing_columns, term_rows
from ostiary_gateway.store.event_queries import Held
from ostiary_gateway.store.inserting import insert_rows
from ostiary_gateway.store.queries import Key
from ostiary_gateway.store.rows import (
    DECISION_ROW,
    ENTRY,
    EVENT_ROW,
    Prepared,
    PreparedEvent,
    with_receipt,
)
from ostiary_gateway.store.schema import (
    appeals,
    case_events,
    case_terms,
    cases,
    checkpoints,
    decisions,
    entries,
    nodes,
)

Item = Prepared | PreparedEvent
# Exceptions are for the caller whose item it is; the others are not affected.
Outcome = CheckResponse | RecordedEvent | BaseException


@dataclass
class _Batch:
    """What a batch comes to: who gets which place, and who gets none and why."""

    start: int
    taken: Mapping[Key, Recorded]
    held: dict[str, Held]
    fresh: list[Item] = field(default_factory=list)
    refused: dict[int, Exception] = field(default_factory=dict)
    moved: dict[int, Standing] = field(default_factory=dict)

    def place(self, items: Sequence[Item]) -> None:
        """Give places, in order: each sees what those before it did."""
        seen = set(self.taken)
        for item in items:
            if isinstance(item, PreparedEvent):
                self._place_event(item)
                continue
            if item.key not in seen:
                self.fresh.append(item)
            if item.new.idempotency_key:
                seen.add(item.key)

    def _place_event(self, item: PreparedEvent) -> None:
        held = self.held.get(item.check_id)
        if held is None or held.tenant != item.event.tenant:
            self.refused[id(item)] = OstiaryError(
                Reason.NOT_FOUND, "There is no such case: check the check_id"
            )
            return
        erasing = item.event.kind == ERASED
        if held.erased and not erasing:
            words = "This check was erased: nothing more can happen to it"
            self.refused[id(item)] = OstiaryError(Reason.FAILED_PRECONDITION, words)
            return
        standing = held.standing
        if item.after is not None and (standing is None or standing.version != item.after):
            self.refused[id(item)] = OvertakenError(f"case {item.check_id} has changed meanwhile")
            return
        if standing is not None:
            now = after_event(standing, item.event, self.start + len(self.fresh))
            if now is not standing:
                self.held[item.check_id] = Held(held.tenant, held.log_index, now, erasing)
                self.moved[held.log_index] = now
        self.fresh.append(item)


def append(connection: Connection, tree: GrowingTree, key: SignerKey, items: Sequence[Item]) -> list[Outcome]:
    """Write what can be: decisions whose idempotency key is free, events that were not overtaken.

    `tree` must be the log's as the transaction found it; it grows. Returns what becomes of each, in order.
    """
    wanted = {item.key for item in items if isinstance(item, Prepared) and item.new.idempotency_key}
    taken = queries.recorded_by_keys(connection, wanted, key.name) if wanted else {}
    touched = {item.check_id for item in items if isinstance(item, PreparedEvent)}
    held = event_queries.held(connection, touched) if touched else {}
    batch = _Batch(tree.size, taken, held)
    batch.place(items)
    note = _insert(connection, tree, key, batch.fresh) if batch.fresh else ""
    for offset, item in enumerate(batch.fresh):
        if isinstance(item, PreparedEvent):
            _keep_appeal(connection, batch.start + offset, item)
    for log_index, standing in batch.moved.items():
        mine = cases.c.log_index == log_index
        connection.execute(update(cases).where(mine).values(standing_columns(standing)))
    return _outcomes(items, batch, key.name, note)


def _insert(connection: Connection, tree: GrowingTree, key: SignerKey, fresh: Sequence[Item]) -> str:
    """Insert items, entries and finished tile hashes; sign and insert a checkpoint, and return it."""
    numbered = list(enumerate(fresh, tree.size))
    finished = [node for item in fresh for node in tree.append(item.sealed.leaf_hash)]
    note = sign_checkpoint(Checkpoint(key.name, tree.size, tree.root()), key)
    made = [(index, item.sealed.entry, item.sealed.leaf_hash) for index, item in numbered]
    insert_rows(connection, entries, ENTRY, made)
    _insert_decisions(connection, [(index, item) for index, item in numbered if isinstance(item, Prepared)])
    events = [item.row(index) for index, item in numbered if isinstance(item, PreparedEvent)]
    insert_rows(connection, case_events, EVENT_ROW, events)
    rows = [(node.level, node.index, node.hash) for node in finished]
    insert_rows(connection, nodes, ("level", "node_index", "hash"), rows)
    insert_rows(connection, checkpoints, ("size", "note"), [(tree.size, note)])
    return note


def _keep_appeal(connection: Connection, log_index: int, item: PreparedEvent) -> None:
    """What has to be told to an appeal's callback address is in the outbox as soon as it is on record."""
    event = item.event
    if event.appeal.callback_uri:
        row = {
            "appeal_id": event.appeal.appeal_id,
            "check_id": event.check_id,
            "callback_uri": event.appeal.callback_uri,
            "attempts": 0,
            "due_us": 0,
        }
        connection.execute(insert(appeals), row)
    elif event.ruling.next == NEXT_REVIEWER_NONE:
        waiting = (appeals.c.check_id == event.check_id) & appeals.c.ruled_in.is_(None)
        now = {"ruled_in": log_index, "due_us": item.sealed.created_us}
        connection.execute(update(appeals).where(waiting).values(now))


def _insert_decisions(connection: Connection, numbered: Sequence[tuple[int, Prepared]]) -> None:
    """Insert decisions, and what they are found by."""
    insert_rows(connection, decisions, DECISION_ROW, [item.row(index) for index, item in numbered])
    found = [(index, item.new.tenant, item.traits()) for index, item in numbered]
    insert_rows(connection, cases, CASE_ROW, [case_row(*each) for each in found])
    terms = [row for index, _, traits in found for row in term_rows(index, traits)]
    insert_rows(connection, case_terms, TERM_ROW, terms)


def _outcomes(items: Sequence[Item], batch: _Batch, origin: str, note: str) -> list[Outcome]:
    places = {id(item): batch.start + offset for offset, item in enumerate(batch.fresh)}
    first = {key: (each.response, each.request_sha256) for key, each in batch.taken.items()}
    outcomes = list[Outcome]()
    for item in items:
        place = places.get(id(item))
        if isinstance(item, PreparedEvent):
            outcomes.append(batch.refused[id(item)] if place is None else RecordedEvent(place, item.event))
            continue
        if place is None:
            outcomes.append(DuplicateKey(*first[item.key]))
            continue
        new = item.new
        answer = with_receipt(
            new.response,
            origin=origin,
            log_index=place,
            leaf_hash=item.sealed.leaf_hash,
            checkpoint=note,
        )
        if new.idempotency_key:
            first[item.key] = answer, new.request_sha256
        outcomes.append(answer)
    return outcomes
