"""Reviewers who claim and rule as they like, on a clock that is set: a case is one reviewer's at a time."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from gateway.recorder.conftest import Home, new_decision
from ostiary.tlog.keys import create_log_key
from ostiary.v1.audit_pb2 import (
    CASE_STATE_CLAIMED,
    CASE_STATE_DECIDED,
    RULING_ESCALATE,
    RULING_OVERTURN,
    RULING_UPHOLD,
)
from ostiary.v1.record_pb2 import NEXT_REVIEWER_LEAD, NEXT_REVIEWER_NONE, NEXT_REVIEWER_SECOND
from ostiary.wire.errors import OstiaryError
from ostiary_gateway.policy.decide import GRAVITY
from ostiary_gateway.review.cases import Search, Settled
from ostiary_gateway.review.desk import Desk, RulingAsked
from ostiary_gateway.review.rulings import Reviewer, ReviewRules
from ostiary_gateway.store.database_cases import open_cases
from ostiary_gateway.times import microseconds

CASES = [new_decision(number).check_id for number in range(3)]
ANNA, BERT, LEAD = Reviewer("anna", "auditor"), Reviewer("bert", "auditor"), Reviewer("lead", "lead-auditor")
reviewers = st.sampled_from([ANNA, BERT, LEAD])
minutes = st.integers(1, 20)
rulings = st.sampled_from([RULING_UPHOLD, RULING_OVERTURN, RULING_ESCALATE])


class Followed:
    """Keeps what was settled."""

    def __init__(self) -> None:
        self.settled: list[Settled] = []

    async def follow(self, settled: Any) -> None:
        self.settled += settled


class DeskMachine(RuleBasedStateMachine):
    """Two desks over one store, as two gateways have it; the model is who holds which case until when."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.runner = asyncio.Runner()
        self.now = datetime(2026, 11, 26, 3, tzinfo=UTC)
        self.held: dict[str, tuple[str, datetime]] = {}
        self.ruled_once: dict[str, str] = {}
        self.escalated: set[str] = set()
        self.settled: set[str] = set()
        self.steps = 0

    @initialize(share=st.sampled_from([0.0, 1.0]))
    def open(self, share: float) -> None:
        home = Home(Path(self.folder.name))
        home.gateway.mkdir()
        create_log_key(home.gateway / "log.key", "ostiary.local/log")
        self.two = share == 1.0
        self.runner.run(self._open(home, ReviewRules(double_share=share)))

    async def _open(self, home: Home, rules: ReviewRules) -> None:
        self.recording = home.open(clock=lambda: self.now)
        self.reading = open_cases(home.store, "ostiary.local/log")
        self.recorder = await self.recording.__aenter__()
        self.cases = await self.reading.__aenter__()
        for number in range(3):
            await self.recorder.record(new_decision(number))
        self.followed = Followed()
        self.desks = [
            Desk(self.cases, self.recorder, rules, self.followed, lambda: self.now) for _ in range(2)
        ]

    def teardown(self) -> None:
        if hasattr(self, "desks"):
            self.runner.run(self._close())
        self.runner.close()
        self.folder.cleanup()

    async def _close(self) -> None:
        await self.reading.__aexit__(None, None, None)
        await self.recording.__aexit__(None, None, None)

    @rule(by=minutes)
    def time_passes(self, by: int) -> None:
        self.now += timedelta(minutes=by)

    @rule(who=st.lists(reviewers, min_size=1, max_size=4), case=st.sampled_from(CASES), lease=minutes)
    def claim_at_once(self, who: list[Reviewer], case: str, lease: int) -> None:
        """Whoever may is given the case, and of several at once one alone: or again the one who holds it."""
        found = self.runner.run(self._claims(who, case, timedelta(minutes=lease)))
        winners = {each.id for each, line in zip(who, found, strict=True) if line is not None}
        may = {each.id for each in who if self._may(each, case)}
        assert len(winners) == bool(may), (winners, may)
        assert winners <= may
        for winner in winners:
            self.held[case] = (winner, self.now + timedelta(minutes=lease))

    @rule(who=reviewers, lease=minutes, desk=st.sampled_from([0, 1]))
    def claim_next(self, who: Reviewer, lease: int, desk: int) -> None:
        """What waits for the reviewer, in order; nothing where nothing does."""
        lines = self.runner.run(self.cases.lines("demo", CASES))
        waits = [case for case in CASES if self._waits(who, case)]
        waits.sort(key=lambda case: -GRAVITY.index(lines[case].standing.verdict))
        try:
            line = self.runner.run(self.desks[desk].claim("demo", who, "", timedelta(minutes=lease)))
        except OstiaryError:
            assert not waits
            return
        assert line.record.check_id == waits[0]
        self.held[waits[0]] = (who.id, self.now + timedelta(minutes=lease))

    @rule(who=reviewers, ruling=rulings, cases=st.lists(st.sampled_from(CASES), min_size=1, unique=True))
    def decide(self, who: Reviewer, ruling: Any, cases: list[str]) -> None:
        """Cases that the reviewer may rule on are ruled on, the others say why not; claims end with it."""
        may = [self._may(who, case) and not self._again(case, ruling) for case in cases]
        asked = RulingAsked(ruling, "why", "", timedelta(days=1))
        outcomes = self.runner.run(self.desks[0].decide("demo", who, cases, asked))
        assert [not each.error for each in outcomes] == may
        for case, ruled in zip(cases, may, strict=True):
            if ruled:
                self._ruled(who, case, ruling)

    @invariant()
    def the_store_is_as_the_model(self) -> None:
        """Who holds what, what is settled and what waits for whom, in searches as in histories."""
        if not hasattr(self, "desks"):
            return
        now_us = microseconds(self.now)
        for case, line in self.runner.run(self.cases.lines("demo", CASES)).items():
            standing = line.standing
            assert standing.holder(now_us) == self._holder(case)
            assert (standing.next == NEXT_REVIEWER_NONE) == (case in self.settled)
            assert (standing.next == NEXT_REVIEWER_LEAD) == (case in self.escalated)
            assert (standing.next == NEXT_REVIEWER_SECOND) == (case in self.ruled_once)
            told = self.runner.run(self.cases.get("demo", case))
            assert told is not None
            assert told.standing == standing
        claimed = Search("demo", states=[CASE_STATE_CLAIMED], now_us=now_us)
        found = {line.record.check_id for line in self.runner.run(self.cases.search(claimed)).lines}
        assert found == {case for case in CASES if self._holder(case)}
        decided = Search("demo", states=[CASE_STATE_DECIDED], now_us=now_us)
        found = {line.record.check_id for line in self.runner.run(self.cases.search(decided)).lines}
        assert found == {case for case in self.settled if not self._holder(case)}

    async def _claims(self, who: list[Reviewer], case: str, lease: timedelta) -> list[Any]:
        found = await asyncio.gather(
            *(self.desks[number % 2].claim("demo", each, case, lease) for number, each in enumerate(who)),
            return_exceptions=True,
        )
        assert all(not isinstance(each, BaseException) or isinstance(each, OstiaryError) for each in found)
        return [None if isinstance(each, BaseException) else each for each in found]

    def _holder(self, case: str) -> str:
        who, until = self.held.get(case, ("", self.now))
        return who if self.now < until else ""

    def _may(self, who: Reviewer, case: str) -> bool:
        if self._holder(case) not in ("", who.id) or self.ruled_once.get(case) == who.id:
            return False
        return who == LEAD or case not in self.escalated | self.settled

    def _again(self, case: str, ruling: Any) -> bool:
        return ruling == RULING_ESCALATE and case in self.escalated

    def _waits(self, who: Reviewer, case: str) -> bool:
        return self._may(who, case) and not self._holder(case) and case not in self.settled

    def _ruled(self, who: Reviewer, case: str, ruling: Any) -> None:
        self.held.pop(case, None)
        first, escalated = self.ruled_once.pop(case, None), case in self.escalated
        self.escalated.discard(case)
        self.settled.discard(case)
        if ruling == RULING_ESCALATE:
            self.escalated.add(case)
        elif escalated or not self.two:
            self.settled.add(case)
        elif first is None:
            self.ruled_once[case] = who.id
            self.first_ruling = {**getattr(self, "first_ruling", {}), case: ruling}
        elif self.first_ruling[case] == ruling:
            self.settled.add(case)
        else:
            self.escalated.add(case)


@pytest.mark.timeout(120)
def test_the_desk() -> None:
    """Whatever reviewers do at once, and however leases end meanwhile."""
    DeskMachine.TestCase.settings = settings(max_examples=15, stateful_step_count=15, deadline=None)
    DeskMachine.TestCase().runTest()
