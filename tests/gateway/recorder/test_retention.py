"""Checks are kept for as long as the rules say, and then erased as on demand."""

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ostiary.v1.decision_pb2 import VERDICT_ALLOW, VERDICT_BLOCK, VERDICT_REVIEW
from ostiary.v1.moderation_pb2 import CheckResponse
from ostiary.v1.record_pb2 import EventHold, EventRecord
from ostiary_gateway.recorder import NewDecision
from ostiary_gateway.review.erasing import Eraser
from ostiary_gateway.review.retention import Keep, Retention
from ostiary_gateway.settings import KeepSettings
from ostiary_gateway.store.database_cases import open_cases
from ostiary_gateway.store.database_erasures import open_erasures
from ostiary_gateway.store.directory_evidence import DirectoryEvidence
from ostiary_gateway.store.sealing import KeyEncryptionKey

Decision = Callable[..., NewDecision]
DAY = timedelta(days=1)
START = datetime(2026, 11, 1, 12, tzinfo=UTC)
# Of each day one: ALLOW on even days, BLOCK on odd ones; under another policy from the fourth on.
DAYS = range(8)


def made(decision: Decision, day: int) -> NewDecision:
    new = decision(day)
    response = CheckResponse()
    response.CopyFrom(new.response)
    response.verdict = VERDICT_BLOCK if day % 2 else VERDICT_ALLOW
    response.receipt.policy = "strict@2" if day >= 4 else "default@1"
    response.receipt.decided_at.FromDatetime(START + day * DAY)
    return replace(new, response=response)


CASES: dict[str, tuple[Sequence[Keep], list[int]]] = {
    "no rule": ([], []),
    "all for three days": ([Keep(3)], [0, 1, 2, 3, 4]),
    "for good": ([Keep(None), Keep(1)], []),
    "one verdict": ([Keep(3, [VERDICT_ALLOW])], [0, 2, 4]),
    "the first that fits": ([Keep(None, [VERDICT_BLOCK]), Keep(2)], [0, 2, 4]),
    "one policy by name": ([Keep(1, policies=["strict"])], [4, 5, 6]),
    "one version": ([Keep(1, policies=["strict@1"])], []),
    "both conditions": ([Keep(1, [VERDICT_BLOCK], ["strict@2"]), Keep(6, [VERDICT_REVIEW])], [5]),
    "a part of a name": ([Keep(1, policies=["stric"])], []),
}


@pytest.mark.parametrize(("keeps", "gone"), CASES.values(), ids=CASES.keys())
async def test_what_goes(home: Any, decision: Decision, keeps: Sequence[Keep], gone: list[int]) -> None:
    """Eight checks, one a day; on the eighth day those go that the rules say, in batches, and no others."""
    async with AsyncExitStack() as stack:
        recorder = await stack.enter_async_context(home.open())
        cases = await stack.enter_async_context(open_cases(home.store, "ostiary.local/log"))
        erasures = await stack.enter_async_context(open_erasures(home.store))
        evidence = DirectoryEvidence(home.gateway / "evidence", KeyEncryptionKey(b"k" * 32))
        for day in DAYS:
            await recorder.record(made(decision, day))
        eraser = Eraser(cases, recorder, erasures, evidence)
        retention = Retention(keeps, cases, eraser, lambda: START + 8 * DAY - timedelta(hours=1))
        if keeps:
            assert await retention.sweep() == len(gone)
            assert await retention.sweep() == 0
        found = {day: await cases.get("demo", decision(day).check_id) for day in DAYS}
        assert [day for day, case in found.items() if case and case.erased] == gone
        for day in gone:
            case = found[day]
            assert case is not None
            tombstone = case.events[-1].record
            assert (tombstone.actor, "as retention[" in tombstone.reason) == ("ostiary", True)
    assert home.audit().decisions == 8


async def test_a_legal_hold_outlives_it(home: Any, decision: Decision) -> None:
    """What is held stays, however old; the others go."""
    async with AsyncExitStack() as stack:
        recorder = await stack.enter_async_context(home.open())
        cases = await stack.enter_async_context(open_cases(home.store, "ostiary.local/log"))
        erasures = await stack.enter_async_context(open_erasures(home.store))
        evidence = DirectoryEvidence(home.gateway / "evidence", KeyEncryptionKey(b"k" * 32))
        for day in (0, 1):
            await recorder.record(made(decision, day))
        hold = EventRecord(
            check_id=decision(0).check_id,
            tenant="demo",
            actor="spiffe://x/y",
            kind="held",
            hold=EventHold(hold=True),
        )
        await recorder.append(hold)
        eraser = Eraser(cases, recorder, erasures, evidence)
        retention = Retention([Keep(1)], cases, eraser, lambda: START + 300 * DAY)
        assert await retention.sweep() == 1
        held = await cases.get("demo", decision(0).check_id)
        assert held is not None
        assert not held.erased


def test_settings() -> None:
    """As people write them."""
    settings = KeepSettings.model_validate({"days": 30, "verdicts": ["ALLOW"], "policies": ["default"]})
    assert settings.keep() == Keep(30, [VERDICT_ALLOW], ["default"])
    for wrong in ({}, {"days": 0}, {"days": 1, "verdicts": ["MAYBE"]}, {"days": 1, "policy": "x"}):
        with pytest.raises(ValueError, match="KeepSettings"):
            KeepSettings.model_validate(wrong)
