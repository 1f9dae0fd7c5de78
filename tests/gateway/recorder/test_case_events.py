"""Events of cases: durable, in the log, in order, and moving where their case stands."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.recorder.conftest import Home, new_decision
from ostiary.cli.audit.problem import Tampered
from ostiary.v1.audit_pb2 import (
    CASE_STATE_APPEALED,
    CASE_STATE_CLAIMED,
    CASE_STATE_DECIDED,
    CASE_STATE_OPEN,
    RULING_OVERTURN,
    RULING_UPHOLD,
)
from ostiary.v1.decision_pb2 import VERDICT_ALLOW, VERDICT_HOLD, VERDICT_REVIEW
from ostiary.v1.record_pb2 import (
    NEXT_REVIEWER_LEAD,
    NEXT_REVIEWER_NONE,
    NEXT_REVIEWER_SECOND,
    EventAppeal,
    EventComment,
    EventHold,
    EventRecord,
    EventRedecision,
    EventRuling,
    EventView,
)
from ostiary.wire.errors import OstiaryError, Reason
from ostiary_gateway.case_log import OvertakenError
from ostiary_gateway.review.cases import Search
from ostiary_gateway.review.standing import after_event, first_standing
from ostiary_gateway.store.database_cases import open_cases

ANNA = "spiffe://ostiary.local/tenant/demo/role/auditor/anna"
CHECK = new_decision(0).check_id
START_US = 1_800_000_000_000_000


def event(kind: str, *, check: str = CHECK, tenant: str = "demo", **more: Any) -> EventRecord:
    return EventRecord(check_id=check, tenant=tenant, actor=ANNA, kind=kind, **more)


def claim(minutes: int = 15, **more: Any) -> EventRecord:
    new = event("claimed", **more)
    new.claim.lease_until.FromMicroseconds(START_US + minutes * 60_000_000)
    return new


EVENTS = [
    event("viewed", view=EventView(item="image-0", unblurred=True), reason="to see"),
    claim(),
    event("commented", comment=EventComment(text="looks real")),
    event(
        "ruled", ruling=EventRuling(ruling=RULING_UPHOLD, verdict=VERDICT_REVIEW, next=NEXT_REVIEWER_SECOND)
    ),
    event(
        "ruled", ruling=EventRuling(ruling=RULING_OVERTURN, verdict=VERDICT_ALLOW, next=NEXT_REVIEWER_NONE)
    ),
    event("ruled", ruling=EventRuling(ruling=RULING_UPHOLD, verdict=VERDICT_REVIEW, next=NEXT_REVIEWER_LEAD)),
    event("appealed", appeal=EventAppeal(appeal_id="a", statement="it is mine")),
    event("held", hold=EventHold(hold=True)),
    event("released", hold=EventHold()),
    event("redecided", redecision=EventRedecision(verdict=VERDICT_HOLD, because_of="other")),
    event("told"),
]


async def fill(home: Home) -> None:
    """Three decisions, and events between further ones, in batches and by themselves."""
    await home.fill(3)
    async with home.open() as recorder:
        for each in EVENTS:
            await recorder.append(each)
        await asyncio.gather(
            *(recorder.record(new_decision(number)) for number in range(3, 6)),
            *(recorder.append(event("viewed", check=new_decision(1).check_id)) for _ in range(3)),
        )


async def test_events_are_entries(home: Home) -> None:
    """Each has an entry of its own, at the time of recording, and the audit covers them beside decisions."""
    now = datetime(2026, 11, 26, 3, tzinfo=UTC)
    await home.fill(2)
    async with home.open(clock=lambda: now) as recorder:
        recorded = await recorder.append(EVENTS[0])
        again = await recorder.append(EVENTS[2])
    assert (recorded.log_index, again.log_index) == (2, 3)
    assert recorded.record.at.ToDatetime(UTC) == now
    assert not EVENTS[0].HasField("at")
    found = home.audit()
    assert (found.checkpoint.size, found.decisions, found.events) == (4, 2, 2)


async def test_a_mixed_batch(home: Home) -> None:
    """Decisions and events of one commit each keep what is theirs."""
    await fill(home)
    found = home.audit()
    assert (found.decisions, found.events) == (6, len(EVENTS) + 3)
    async with open_cases(home.store, "ostiary.local/log") as cases:
        case = await cases.get("demo", new_decision(4).check_id)
        assert case is not None
        assert case.standing == first_standing(VERDICT_REVIEW, case.response.receipt.log_index)
        viewed = await cases.get("demo", new_decision(1).check_id)
        assert viewed is not None
        assert [each.record.kind for each in viewed.events] == ["viewed"] * 3


async def test_no_such_case(home: Home) -> None:
    """Neither a check that never was nor another tenant's has events; nothing is written."""
    await home.fill(1)
    async with home.open() as recorder:
        for wrong in (event("viewed", check="none"), event("viewed", tenant="other")):
            with pytest.raises(OstiaryError) as caught:
                await recorder.append(wrong)
            assert caught.value.reason is Reason.NOT_FOUND
    assert home.audit().checkpoint.size == 1


async def test_who_comes_second_is_told(home: Home) -> None:
    """Of all that saw the same version of a case, in one batch or later, one gets it."""
    await home.fill(1)
    async with home.open() as recorder:
        outcomes = await asyncio.gather(
            *(recorder.append(claim(), after=0) for _ in range(5)), return_exceptions=True
        )
        (won,) = [each for each in outcomes if not isinstance(each, BaseException)]
        assert sum(isinstance(each, OvertakenError) for each in outcomes) == 4
        with pytest.raises(OvertakenError):
            await recorder.append(claim(), after=0)
        await recorder.append(event("commented"))
        assert (await recorder.append(claim(), after=won.log_index)).log_index == 3
    assert home.audit().events == 3


async def test_searched_as_it_stands(home: Home) -> None:
    """A search sees the case where its events have put it, and a claim only while it lasts."""
    await home.fill(1)

    async def found(minutes: int, **asked: Any) -> bool:
        search = Search("demo", now_us=START_US + minutes * 60_000_000, **asked)
        async with open_cases(home.store, "ostiary.local/log") as cases:
            return bool((await cases.search(search)).lines)

    async with home.open() as recorder:
        await recorder.append(claim(15))
        for state, minutes in ((CASE_STATE_CLAIMED, 14), (CASE_STATE_OPEN, 15)):
            assert await found(minutes, states=[state])
            assert not await found(29 - minutes, states=[state])
            assert await found(minutes, states=[CASE_STATE_OPEN, CASE_STATE_CLAIMED])
        await recorder.append(EVENTS[4])
        assert await found(0, states=[CASE_STATE_DECIDED], verdicts=[VERDICT_ALLOW])
        assert not await found(0, verdicts=[VERDICT_REVIEW])
        await recorder.append(EVENTS[6])
        assert await found(0, states=[CASE_STATE_APPEALED])


@given(st.lists(st.sampled_from(EVENTS), max_size=12))
def test_the_version_is_the_last_change(events: list[EventRecord]) -> None:
    """Looking and talking move nothing; whatever moves something gives the case a new version."""
    standing, moved = first_standing(VERDICT_REVIEW, 0), 0
    for index, each in enumerate(events, 1):
        now = after_event(standing, each, index)
        if each.kind in ("viewed", "commented", "told"):
            assert now is standing
        else:
            moved = index
        assert now.version == moved
        if each.kind == "ruled":
            assert not now.holder(START_US)
        standing = now


async def test_the_tables_stand_where_the_events_do(home: Home) -> None:
    """After each event, what a search goes by is what the events come to."""
    await home.fill(1)
    async with home.open() as recorder, open_cases(home.store, "ostiary.local/log") as cases:
        for each in EVENTS:
            await recorder.append(each)
            case = await cases.get("demo", CHECK)
            (line,) = (await cases.search(Search("demo"))).lines
            assert case is not None
            assert line.standing == case.standing


def tamperings() -> list[Any]:
    """What an intruder might do to an event, as SQL."""
    return [
        pytest.param([f"UPDATE case_events SET {change} WHERE log_index = 5"], id=change)  # noqa: S608
        for change in (
            "record = x''",
            "record = record || x'00'",
            "salt = zeroblob(32)",
            "salt = 'text'",
            "tenant = 'other'",
            "kind = 'viewed'",
            f"check_id = '{new_decision(1).check_id}'",
            "created_us = created_us + 1",
            "log_index = 99",
        )
    ] + [
        pytest.param(statements, id=name)
        for name, statements in {
            "dropped": ["DELETE FROM case_events WHERE log_index = 5"],
            "dropped with its entry": [
                "DELETE FROM case_events WHERE log_index = 5",
                "DELETE FROM entries WHERE log_index = 5",
            ],
            "swapped": [
                "UPDATE case_events SET log_index = -1 WHERE log_index = 4",
                "UPDATE case_events SET log_index = 4 WHERE log_index = 5",
                "UPDATE case_events SET log_index = 5 WHERE log_index = -1",
            ],
            "a decision beside it": [
                "DELETE FROM case_events WHERE log_index = 6",
                "INSERT INTO decisions SELECT 'more', tenant, caller, 'more', request_sha256, salt, record, "
                "created_us, 5 FROM decisions WHERE log_index = 1",
            ],
            "an event beside a decision": [
                "DELETE FROM case_events WHERE log_index = 5",
                "INSERT INTO case_events SELECT 1, check_id, tenant, kind, salt, record, created_us "
                "FROM case_events WHERE log_index = 6",
            ],
            "table dropped": ["DROP TABLE case_events"],
        }.items()
    ]


@pytest.mark.parametrize("statements", tamperings())
async def test_tampering_with_events_shows(home: Home, statements: list[str]) -> None:
    """Whatever is changed, dropped, moved or added, the audit says so."""
    await fill(home)
    for statement in statements:
        home.sql(statement)
    with pytest.raises(Tampered):
        home.audit()


async def test_events_survive_a_stop(home: Home, tmp_path: Path) -> None:
    """What was appended is there for the next process, and goes on from there."""
    await home.fill(1)
    async with home.open() as recorder:
        first = await recorder.append(claim())
    async with home.open() as recorder:
        await recorder.append(EVENTS[3], after=first.log_index)
    async with open_cases(home.store, "ostiary.local/log") as cases:
        case = await cases.get("demo", CHECK)
    assert case is not None
    assert [(each.log_index, each.record.kind) for each in case.events] == [(1, "claimed"), (2, "ruled")]
    assert case.standing.ruled_by == ANNA
    assert timedelta(0) < datetime.now(UTC) - case.events[0].record.at.ToDatetime(UTC) < timedelta(minutes=5)
