"""Turns decisions and events into what the tables hold, and back. Pure."""

import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from ostiary.tlog.entry import DECISION, EVENT, SALT_BYTES, Entry, commit
from ostiary.tlog.merkle import leaf_hash
from ostiary.v1.moderation_pb2 import CheckResponse
from ostiary.v1.record_pb2 import DecisionRecord, EventRecord
from ostiary_gateway.recorder import NewDecision
from ostiary_gateway.review.summary import Traits, traits
from ostiary_gateway.times import microseconds

# Columns in the order in which the rows below hold them.
ENTRY = ("log_index", "data", "leaf_hash")
DECISION_ROW = (
    "check_id",
    "tenant",
    "caller",
    "idempotency_key",
    "request_sha256",
    "salt",
    "record",
    "created_us",
    "log_index",
)
EVENT_ROW = ("log_index", "check_id", "tenant", "kind", "salt", "record", "created_us")


class Sealed(NamedTuple):
    """Bytes that an entry of the log commits to, under a salt of their own; all but its place."""

    record: bytes
    salt: bytes
    entry: bytes
    leaf_hash: bytes
    created_us: int


class Prepared(NamedTuple):
    """A decision ready to be written."""

    new: NewDecision
    sealed: Sealed

    @property
    def check_id(self) -> str:
        """Identifier of the check."""
        return self.new.check_id

    @property
    def key(self) -> tuple[str, str]:
        """Tenant and idempotency key; the latter may be empty."""
        return self.new.tenant, self.new.idempotency_key

    def row(self, log_index: int) -> tuple[Any, ...]:
        """The decision's row, a `DECISION_ROW`."""
        new, (record, salt, _, _, created_us) = self
        return (
            new.check_id,
            new.tenant,
            new.caller,
            new.idempotency_key,
            new.request_sha256,
            salt,
            record,
            created_us,
            log_index,
        )

    def traits(self) -> Traits:
        """What the decision will be found by."""
        new = self.new
        return traits(new.listing, new.response, new.observations, self.sealed.created_us)


@dataclass(frozen=True)
class PreparedEvent:
    """An event ready to be written; `after` is as in `CaseLog.append`."""

    event: EventRecord
    after: int | None
    sealed: Sealed

    @property
    def check_id(self) -> str:
        """Identifier of the check."""
        return self.event.check_id

    def row(self, log_index: int) -> tuple[Any, ...]:
        """The event's row, an `EVENT_ROW`."""
        event, (record, salt, _, _, created_us) = self.event, self.sealed
        return log_index, event.check_id, event.tenant, event.kind, salt, record, created_us


def prepare(new: NewDecision, now: datetime) -> Prepared:
    """Serialise a decision, and commit to it; `now` is an aware time."""
    created_us = microseconds(now)
    return Prepared(new, _seal(_serialise(new, created_us), DECISION, now, created_us))


def prepare_event(event: EventRecord, after: int | None, now: datetime) -> PreparedEvent:
    """Serialise an event, and commit to it; `now` is an aware time."""
    timed = EventRecord()
    timed.CopyFrom(event)
    timed.at.FromDatetime(now)
    record = timed.SerializeToString(deterministic=True)
    return PreparedEvent(timed, after, _seal(record, EVENT, now, microseconds(now)))


def _seal(record: bytes, kind: str, now: datetime, created_us: int) -> Sealed:
    salt = secrets.token_bytes(SALT_BYTES)
    entry = Entry(now, commit(salt, record), kind).encode()
    return Sealed(record, salt, entry, leaf_hash(entry), created_us)


def _serialise(new: NewDecision, created_us: int) -> bytes:
    record = DecisionRecord(
        check_id=new.check_id,
        tenant=new.tenant,
        caller=new.caller,
        idempotency_key=new.idempotency_key,
        request_sha256=new.request_sha256,
        trace_id=new.trace_id,
    )
    # Copied as they are: as arguments they would be serialised and parsed once more.
    record.listing.CopyFrom(new.listing)
    record.response.CopyFrom(new.response)
    if new.observations is not None:
        record.observations.CopyFrom(new.observations)
    at = record.recorded_at
    at.seconds, rest = divmod(created_us, 1_000_000)
    at.nanos = 1000 * rest
    return record.SerializeToString(deterministic=True)


def with_receipt(
    response: CheckResponse, *, origin: str, log_index: int, leaf_hash: bytes, checkpoint: str
) -> CheckResponse:
    """A copy of the answer whose receipt says where the log holds it."""
    answer = CheckResponse()
    answer.CopyFrom(response)
    receipt = answer.receipt
    receipt.log_origin, receipt.log_index = origin, log_index
    receipt.leaf_hash, receipt.checkpoint = leaf_hash, checkpoint
    return answer
