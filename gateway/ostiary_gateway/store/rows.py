"""Turns decisions into what the tables hold, and back. Pure."""

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from ostiary.tlog.entry import SALT_BYTES, Entry, commit
from ostiary.tlog.merkle import leaf_hash
from ostiary.v1.moderation_pb2 import CheckResponse
from ostiary.v1.record_pb2 import DecisionRecord
from ostiary_gateway.recorder import NewDecision
from ostiary_gateway.review.summary import Traits, traits

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Prepared:
    """A decision ready to be written: all but its place in the log."""

    new: NewDecision
    record: bytes
    salt: bytes
    entry: bytes
    leaf_hash: bytes
    created_us: int

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
            "salt": self.salt,
            "record": self.record,
            "created_us": self.created_us,
            "log_index": log_index,
        }

    def traits(self) -> Traits:
        """What the decision will be found by."""
        new = self.new
        return traits(new.listing, new.response, new.observations, self.created_us)

    def entry_row(self, log_index: int) -> dict[str, Any]:
        """The log entry's row."""
        return {"log_index": log_index, "data": self.entry, "leaf_hash": self.leaf_hash}


def prepare(new: NewDecision, now: datetime) -> Prepared:
    """Serialise a decision, and commit to it under a salt of its own; `now` is an aware time."""
    record = _serialise(new, now)
    salt = secrets.token_bytes(SALT_BYTES)
    entry = Entry(now, commit(salt, record)).encode()
    created_us = round((now - _EPOCH).total_seconds() * 1_000_000)
    return Prepared(new, record, salt, entry, leaf_hash(entry), created_us)


def _serialise(new: NewDecision, now: datetime) -> bytes:
    recorded_at = Timestamp()
    recorded_at.FromDatetime(now)
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
