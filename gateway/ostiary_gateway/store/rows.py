"""Turns decisions and events into what the tables hold, and back. Pure."""

import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from google.protobuf.timestamp_pb2 import Timestamp

from ostiary.tlog.entry import DECISION, EVENT, SALT_BYTES, Entry, commit
from ostiary.tlog.merkle import leaf_hash
from ostiary.v1.moderation_pb2 import CheckResponse
from ostiary.v1.record_pb2 import DecisionRecord, EventRecord
from ostiary_gateway.recorder import NewDecision
from ostiary_gateway.review.summary import Traits, traits
from ostiary_gateway.times import microseconds


class Sealed(NamedTuple):
    """Bytes that an entry of the log commits to, under a salt of their own; all but its place."""

    record: bytes
    salt: bytes
    entry: bytes
    leaf_hash: bytes
    created_us: int

    def entry_row(self, log_index: int) -> dict[str, Any]:
        """The log entry's row."""
        return {"log_index": log_index, "data": self.entry, "leaf_hash": self.leaf_hash}


@dataclass(frozen=True)
class Prepared:
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

    def decision_row(self, log_index: int) -> dict[str, Any]:
        """The decision's row."""
        return {
            "check_id": self.new.check_id,
            "tenant": self.new.tenant,
            "caller": self.new.caller,
            "idempotency_key": self.new.idempotency_key,
            "request_sha256": self.new.request_sha256,
            "salt": self.sealed.salt,
            "record": self.sealed.record,
            "created_us": self.sealed.created_us,
            "log_index": log_index,
        }

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

    def event_row(self, log_index: int) -> dict[str, Any]:
        """The event's row."""
        return {
            "log_index": log_index,
            "check_id": self.event.check_id,
            "tenant": self.event.tenant,
            "kind": self.event.kind,
            "salt": self.sealed.salt,
            "record": self.sealed.record,
            "created_us": self.sealed.created_us,
        }


def prepare(new: NewDecision, now: datetime) -> Prepared:
    """Serialise a decision, and commit to it; `now` is an aware time."""
    return Prepared(new, _seal(_serialise(new, now), DECISION, now))


def prepare_event(event: EventRecord, after: int | None, now: datetime) -> PreparedEvent:
    """Serialise an event, and commit to it; `now` is an aware time."""
    timed = EventRecord()
    timed.CopyFrom(event)
    timed.at.FromDatetime(now)
    return PreparedEvent(timed, after, _seal(timed.SerializeToString(deterministic=True), EVENT, now))


def _seal(record: bytes, kind: str, now: datetime) -> Sealed:
    salt = secrets.token_bytes(SALT_BYTES)
    entry = Entry(now, commit(salt, record), kind).encode()
    return Sealed(record, salt, entry, leaf_hash(entry), microseconds(now))


def _serialise(new: NewDecision, now: datetime) -> bytes:
    seconds, rest = divmod(microseconds(now), 1_000_000)
    recorded_at = Timestamp(seconds=seconds, nanos=1000 * rest)
    record = DecisionRecord(
        check_id=new.check_id,
        tenant=new.tenant,
        caller=new.caller,
        idempotency_key=new.idempotency_key,
        request_sha256=new.request_sha256,
        listing=new.listing,
        response=new.response,
        observations=new.observations,
        trace_id=new.trace_id,
        recorded_at=recorded_at,
    )
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
