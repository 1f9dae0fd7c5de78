"""Adds a batch of decisions to the log, inside one transaction of the caller's."""

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, insert

from ostiary.tlog.checkpoint import Checkpoint, sign_checkpoint
from ostiary.tlog.growth import GrowingTree
from ostiary.tlog.note import SignerKey
from ostiary.v1.moderation_pb2 import CheckResponse
from ostiary_gateway.recorder import DuplicateKey, Recorded
from ostiary_gateway.store import queries
from ostiary_gateway.store.case_rows import case_row, term_rows
from ostiary_gateway.store.queries import Key
from ostiary_gateway.store.rows import Prepared, with_receipt
from ostiary_gateway.store.schema import case_terms, cases, checkpoints, decisions, entries, nodes

Outcome = CheckResponse | DuplicateKey


def append(
    connection: Connection, tree: GrowingTree, key: SignerKey, batch: Sequence[Prepared]
) -> list[Outcome]:
    """Write those of the batch whose idempotency key is free; what becomes of each, in order.

    `tree` must be the log's as the transaction found it; it grows.
    """
    wanted = {prepared.key for prepared in batch if prepared.new.idempotency_key}
    taken = queries.recorded_by_keys(connection, wanted, key.name) if wanted else {}
    fresh = _fresh(batch, taken)
    start = tree.size
    note = _insert(connection, tree, key, fresh) if fresh else ""
    places = {id(prepared): start + offset for offset, prepared in enumerate(fresh)}
    return _outcomes(batch, places, taken, key.name, note)


def _fresh(batch: Sequence[Prepared], taken: Mapping[Key, Recorded]) -> list[Prepared]:
    """Those without a key, and the first of each key that is free."""
    seen, fresh = set(taken), []
    for prepared in batch:
        if prepared.key not in seen:
            fresh.append(prepared)
        if prepared.new.idempotency_key:
            seen.add(prepared.key)
    return fresh


def _insert(connection: Connection, tree: GrowingTree, key: SignerKey, fresh: Sequence[Prepared]) -> str:
    """Insert decisions, entries and finished tile hashes; sign and insert a checkpoint, and return it."""
    numbered = list(enumerate(fresh, tree.size))
    finished = [node for prepared in fresh for node in tree.append(prepared.leaf_hash)]
    note = sign_checkpoint(Checkpoint(key.name, tree.size, tree.root()), key)
    connection.execute(insert(entries), [p.entry_row(index) for index, p in numbered])
    connection.execute(insert(decisions), [p.decision_row(index) for index, p in numbered])
    _insert_cases(connection, numbered)
    if finished:
        connection.execute(
            insert(nodes),
            [{"level": node.level, "node_index": node.index, "hash": node.hash} for node in finished],
        )
    connection.execute(insert(checkpoints), {"size": tree.size, "note": note})
    return note


def _insert_cases(connection: Connection, numbered: Sequence[tuple[int, Prepared]]) -> None:
    """Insert what the decisions are found by."""
    found = [(index, prepared.new.tenant, prepared.traits()) for index, prepared in numbered]
    connection.execute(insert(cases), [case_row(*each) for each in found])
    terms = [row for index, _, traits in found for row in term_rows(index, traits)]
    if terms:
        connection.execute(insert(case_terms), terms)


def _outcomes(
    batch: Sequence[Prepared],
    places: Mapping[int, int],
    taken: Mapping[Key, Recorded],
    origin: str,
    note: str,
) -> list[Outcome]:
    recorded, outcomes = dict(taken), list[Outcome]()
    for prepared in batch:
        place = places.get(id(prepared))
        if place is None:
            first = recorded[prepared.key]
            outcomes.append(DuplicateKey(first.response, first.request_sha256))
            continue
        answer = with_receipt(
            prepared.new.response,
            origin=origin,
            log_index=place,
            leaf_hash=prepared.leaf_hash,
            checkpoint=note,
        )
        recorded[prepared.key] = Recorded(prepared.new.request_sha256, answer, prepared.new.caller)
        outcomes.append(answer)
    return outcomes
