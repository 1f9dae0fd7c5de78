"""Checks judged again: the shortcut comes to what a decision in full comes to, whatever was seen."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import sights
from gateway.hashes import lists
from gateway.test_replay import recorded
from ostiary.v1.decision_pb2 import Verdict
from ostiary.v1.listing_pb2 import Listing
from ostiary.v1.observation_pb2 import Attribute, Observations, OcrSpan
from ostiary.v1.record_pb2 import DecisionRecord
from ostiary_gateway.policy import in_force
from ostiary_gateway.policy.decide import Subject, decide
from ostiary_gateway.policy.in_force import PolicyInForce
from ostiary_gateway.policy.shortcut import Shortcut
from ostiary_gateway.rejudging import FlipTally, Rejudge, asked_of
from ostiary_gateway.replay import subject_of
from ostiary_gateway.rules import pack

PACKS = pack.shipped()
TEXT = """
name: test
version: "1"
rulePacks: [diversion]
vocabulary:
  categories: [{name: swimwear, words: [swimwear, bikini]}]
policies:
  - policy: prohibited_ads
    labels:
      - label: contact_details
        steps:
          - {action: ACTION_BLOCK, threshold: 0.9, sources: [ocr, text]}
          - {action: ACTION_REVIEW, threshold: 0.5}
      - label: qr_code
        steps: [{action: ACTION_REVIEW, threshold: 0.8, sources: [vlm]}]
  - policy: nudity
    optional: true
    labels:
      - label: explicit
        steps: [{action: ACTION_REVIEW, targetPrecision: 0.5, exceptCategories: [swimwear]}]
"""
BEFORE = in_force.load(TEXT, PACKS)
CANDIDATES = {
    "the same": TEXT,
    "a block noted": TEXT.replace("ACTION_BLOCK", "ACTION_NOTE"),
    "a lower threshold": TEXT.replace("threshold: 0.8, sources: [vlm]", "threshold: 0.1"),
    "by the table": TEXT.replace("threshold: 0.8, sources: [vlm]", "targetPrecision: 0.3"),
    "another precision": TEXT.replace("targetPrecision: 0.5", "targetPrecision: 0.05"),
    "no exception": TEXT.replace(", exceptCategories: [swimwear]", ""),
    "for one category": TEXT.replace("exceptCategories", "categories"),
    "a product that looks like this": TEXT.replace(
        "exceptCategories: [swimwear]", "exceptSeen: [{name: category, value: bikini, confidence: 0.5}]"
    ),
    "not optional": TEXT.replace("    optional: true\n", ""),
    "another fallback": TEXT + "failure: {fallback: FALLBACK_REVIEW}\n",
    "a policy less": TEXT.partition("  - policy: nudity")[0],
    "a policy more": TEXT + "  - policy: logo_infringement\n    optional: true\n",
    "without the pack": TEXT.replace("rulePacks: [diversion]", ""),
    "other words": TEXT.replace("bikini]", "bikini, top]"),
}
AFTER = {name: in_force.load(text, PACKS) for name, text in CANDIDATES.items()}
NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
CONTACT = Observations(ocr=[OcrSpan(text="微信：abc12345", confidence=0.9, region=sights.region())])
BIKINI = Observations(attributes=[Attribute(name="category", value="bikini", confidence=0.9)])


def kept(subject: Subject, policy: PolicyInForce) -> DecisionRecord:
    """A record of a decision by `policy`, which its receipt names."""
    record = recorded(subject, policy)
    record.response.receipt.policy_sha256 = policy.sha256
    return record


def in_full(record: DecisionRecord, policy: PolicyInForce) -> tuple[int, frozenset[Any]]:
    decision = decide(subject_of(record), policy)
    return decision.verdict, frozenset(asked_of(decision.findings))


@settings(max_examples=300, deadline=None)
@given(
    seen=st.one_of(st.none(), sights.observations),
    sound=st.booleans(),
    extra=st.sampled_from([Observations(), CONTACT, BIKINI]),
    title=st.sampled_from(["Cup", "加微信领券", "13800138000"]),
    category=st.sampled_from(["", "home", "bikini"]),
    candidate=st.sampled_from(sorted(AFTER)),
)
def test_a_shortcut_leads_to_the_same_decision(
    seen: Observations | None, sound: bool, extra: Observations, title: str, category: str, candidate: str
) -> None:
    """Where it says anything, it says what a decision in full says: verdict, and what asks for it."""
    if seen is not None:
        seen = sights.merged(sights.clean(), *([] if sound else [seen]), extra)
        seen.capabilities.append("nudity")
    subject = Subject(Listing(title=title, category=category), 1, seen, NOW)
    record = kept(subject, BEFORE)
    redecided = Shortcut(BEFORE, AFTER[candidate]).redecide(record)
    if redecided is not None:
        assert (redecided.verdict, redecided.asked) == in_full(record, AFTER[candidate])


@pytest.mark.parametrize(
    "candidate",
    sorted(AFTER.keys() - {"a policy more", "without the pack", "other words"}),
)
def test_there_is_a_shortcut_for_whatever_was_judged(candidate: str) -> None:
    """Steps and fallbacks may change: a check of which everything was judged needs no second look."""
    for extra in (Observations(), CONTACT):
        seen = sights.merged(sights.clean(), extra)
        seen.capabilities.append("nudity")
        seen.scores.append(sights.score(0.6, question=("nudity", "explicit", "nudity.explicit")))
        seen.calibration.append(sights.point(0.6, 0.5, question=("nudity", "explicit", "nudity.explicit")))
        record = kept(Subject(Listing(title="Top", category="bikini"), 1, seen, NOW), BEFORE)
        redecided = Shortcut(BEFORE, AFTER[candidate]).redecide(record)
        assert redecided is not None
        assert (redecided.verdict, redecided.asked) == in_full(record, AFTER[candidate])


@pytest.mark.parametrize("candidate", ["a policy more", "without the pack", "other words"])
def test_no_shortcut_where_more_could_be_seen(candidate: str) -> None:
    """Other packs, words and policies are looked at in full."""
    assert not Shortcut(BEFORE, AFTER[candidate]).possible


def test_no_shortcut_from_another_policy() -> None:
    """A decision by a policy that is not at hand is made in full."""
    record = kept(Subject(Listing(title="Cup"), 1, sights.clean(), NOW), AFTER["a block noted"])
    assert Shortcut(BEFORE, AFTER["a lower threshold"]).redecide(record) is None


def test_lists_that_allow_are_asked() -> None:
    """What an allow-list might lift is decided in full."""
    allowing = lists.in_force(lists.known({"hash": "00" * 32}, action="ACTION_NOTE"))
    before, after = BEFORE.with_lists(allowing), AFTER["a lower threshold"].with_lists(allowing)
    seen = sights.merged(sights.clean(), Observations(scores=[sights.score(0.7)]))
    record = kept(Subject(Listing(title="Cup"), 1, seen, NOW), before)
    assert Shortcut(before, after).redecide(record) is None


def test_a_tally() -> None:
    """Flips by verdict, label, category and seller, with examples; the parts add up to the whole."""
    records = []
    for number in range(20):
        seen = sights.merged(sights.clean(), *([CONTACT] if number % 4 == 0 else []))
        listing = Listing(title="Cup", category="home", seller=f"s{number % 8}")
        record = kept(Subject(listing, 1, seen, NOW), BEFORE if number % 2 else AFTER["the same"])
        record.check_id = f"check-{number}"
        records.append(record)
    after = AFTER["a block noted"]
    rejudge = Rejudge(after, [BEFORE], most_examples=2)
    whole = rejudge.tally(records)
    assert (whole.checks, whole.flips, whole.rate) == (20, 5, 0.25)
    blocked, review = Verdict.VERDICT_BLOCK, Verdict.VERDICT_REVIEW
    assert whole.verdicts[blocked, review] == 5
    assert whole.labels == {"prohibited_ads/contact_details": 5}
    assert whole.categories == {"home": 5}
    assert whole.sellers == {"s0": 3, "s4": 2}
    assert [flip.check_id for flip in whole.examples[blocked, review]] == ["check-0", "check-4"]
    parts = FlipTally()
    for start in (0, 7, 14):
        parts.add(rejudge.tally(records[start : start + 7]), 2)
    assert parts == whole


def test_without_policies_at_hand_everything_is_decided_in_full() -> None:
    """The same flips, only slower."""
    records = [kept(Subject(Listing(title="加微信领券"), 1, sights.clean(), NOW), BEFORE)]
    quick = Rejudge(AFTER["a block noted"], [BEFORE], 1).tally(records)
    slow = Rejudge(AFTER["a block noted"], [], 1).tally(records)
    assert (quick.in_full, slow.in_full) == (0, 1)
    assert quick.verdicts == slow.verdicts
    assert quick.examples == slow.examples
