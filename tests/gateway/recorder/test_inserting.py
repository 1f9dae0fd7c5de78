"""Rows that are inserted many by a statement, and records that are written without being made twice."""

from datetime import UTC, datetime

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy import create_engine, select

from gateway.recorder.conftest import new_decision
from ostiary.v1.decision_pb2 import VERDICT_ALLOW, VERDICT_BLOCK, VERDICT_HOLD, VERDICT_REVIEW, Verdict
from ostiary.v1.listing_pb2 import Listing
from ostiary.v1.moderation_pb2 import CheckResponse
from ostiary.v1.observation_pb2 import Observations
from ostiary.v1.record_pb2 import DecisionRecord
from ostiary_gateway.recorder import NewDecision
from ostiary_gateway.review.standing import first_standing
from ostiary_gateway.review.summary import traits
from ostiary_gateway.store.case_rows import CASE_ROW, case_row, standing_of
from ostiary_gateway.store.inserting import insert_rows
from ostiary_gateway.store.rows import prepare
from ostiary_gateway.store.schema import cases, entries, metadata

_NOW = datetime(2026, 11, 26, 12, 0, 0, 123456, UTC)


@pytest.mark.parametrize("count", [0, 1, 7, 8, 63, 64, 65, 137, 1024])
def test_every_row_is_inserted_once(count: int) -> None:
    """However many rows there are, each is there once, whichever statement it went by."""
    rows = [(index, b"%d" % index, bytes(32)) for index in range(count)]
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        metadata.create_all(connection)
        insert_rows(connection, entries, ("log_index", "data", "leaf_hash"), rows)
        found = connection.execute(select(entries).order_by(entries.c.log_index)).all()
    engine.dispose()
    assert [tuple(row) for row in found] == rows


@pytest.mark.parametrize(
    "verdict", [VERDICT_ALLOW, VERDICT_REVIEW, VERDICT_BLOCK, VERDICT_HOLD], ids=Verdict.Name
)
def test_a_new_case_stands_as_nobody_has_touched_it(verdict: Verdict.ValueType) -> None:
    """What the row of a new case leaves to defaults says that nobody has claimed, ruled on or held it."""
    found_by = traits(Listing(seller="s-1"), CheckResponse(verdict=verdict), None, 5)
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        metadata.create_all(connection)
        insert_rows(connection, cases, CASE_ROW, [case_row(3, "demo", found_by)])
        row = connection.execute(select(cases)).one()
    engine.dispose()
    assert standing_of(row) == first_standing(verdict, 3)


def _bare() -> NewDecision:
    return NewDecision("c", "t", "", "", b"", Listing(), CheckResponse(), None, "")


def _unseen() -> NewDecision:
    return NewDecision("c", "t", "", "", b"", Listing(), CheckResponse(), Observations(), "")


@pytest.mark.parametrize(
    "new", [new_decision(1, key="k"), _bare(), _unseen()], ids=["whole", "bare", "nothing seen"]
)
def test_the_record_s_bytes(new: NewDecision) -> None:
    """What is committed to is the record as protobuf's canonical order has it, empty messages included."""
    expected = DecisionRecord(
        check_id=new.check_id,
        tenant=new.tenant,
        caller=new.caller,
        idempotency_key=new.idempotency_key,
        request_sha256=new.request_sha256,
        listing=new.listing,
        response=new.response,
        observations=new.observations,
        trace_id=new.trace_id,
        recorded_at=Timestamp(seconds=1795694400, nanos=123_456_000),
    )
    assert prepare(new, _NOW).sealed.record == expected.SerializeToString(deterministic=True)
