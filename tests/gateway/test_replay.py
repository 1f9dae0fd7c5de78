"""Recorded checks decided again: the same by the same policy, and what changes by another."""

from datetime import UTC, datetime

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import sights
from gateway.hashes import lists
from ostiary.v1.decision_pb2 import Receipt, Verdict
from ostiary.v1.listing_pb2 import Listing
from ostiary.v1.moderation_pb2 import CheckResponse
from ostiary.v1.observation_pb2 import DetectorInfo, Observations, OcrSpan, PdqHash
from ostiary.v1.record_pb2 import DecisionRecord
from ostiary_gateway.policy import in_force
from ostiary_gateway.policy.decide import Decision, Subject, decide
from ostiary_gateway.policy.in_force import PolicyInForce
from ostiary_gateway.replay import Hit, Tally, replay, subject_of
from ostiary_gateway.rules import pack

PACKS = pack.shipped()
TEXT = """
name: test
version: "1"
rulePacks: [diversion]
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
"""
POLICY = in_force.load(TEXT, PACKS)
LENIENT = in_force.load(TEXT.replace("ACTION_BLOCK", "ACTION_NOTE"), PACKS)
WITHOUT_PACKS = in_force.load(TEXT.replace("rulePacks: [diversion]", ""), PACKS)
NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
PDQ = bytes.fromhex("f8f8f0cee0f4a84f06370a22038f63f0b36e2ed596621e1d33e6b39c4e9c9b22")
CONTACT = Observations(ocr=[OcrSpan(text="微信：abc12345", confidence=0.9, region=sights.region())])


def recorded(subject: Subject, policy: PolicyInForce = POLICY) -> DecisionRecord:
    """What the record keeps of a check that was decided by `policy`."""
    at = Timestamp()
    at.FromDatetime(subject.at)
    decision = decide(subject, policy)
    response = CheckResponse(
        check_id="0190",
        verdict=decision.verdict,
        findings=decision.findings,
        policies=decision.policies,
        hold_reasons=decision.hold_reasons,
        receipt=Receipt(policy=policy.label, decided_at=at),
    )
    if subject.observations is not None:
        response.images.extend(subject.observations.images)
    return DecisionRecord(
        check_id="0190", listing=subject.listing, response=response, observations=subject.observations
    )


@settings(max_examples=400, deadline=None)
@given(
    seen=st.one_of(st.none(), sights.observations),
    images=st.integers(1, 3),
    flags=st.booleans(),
    title=st.sampled_from(["Cup", "加微信领券", "13800138000"]),
    failure=st.sampled_from([Verdict.VERDICT_HOLD, Verdict.VERDICT_REVIEW, Verdict.VERDICT_UNSPECIFIED]),
)
def test_the_same_policy_gives_the_recorded_verdict(
    seen: Observations | None, images: int, flags: bool, title: str, failure: Verdict.ValueType
) -> None:
    """Whatever came of a check, the record holds enough to decide it again as it was decided."""
    subject = Subject(Listing(title=title), images, seen, NOW, flags, failure)
    replayed = replay(recorded(subject), POLICY, POLICY)
    assert replayed.before.verdict == replayed.record.response.verdict
    assert not replayed.changes


def test_what_is_decided_on_is_read_off_the_record() -> None:
    """Images that nobody looked at and what the caller wanted stand in the answer's reasons."""
    forgotten = Subject(Listing(title="Cup"), 3, sights.clean(1), NOW)
    assert subject_of(recorded(forgotten)).image_count == 3
    unwanted = Subject(Listing(title="Cup"), 1, sights.clean(), NOW, flags=False)
    assert subject_of(recorded(unwanted)).flags is False
    unanswered = Subject(Listing(), 1, None, NOW, failure_verdict=Verdict.VERDICT_BLOCK)
    assert subject_of(recorded(unanswered)).failure_verdict == Verdict.VERDICT_BLOCK


@pytest.mark.parametrize(
    ("candidate", "after", "gained", "lost"),
    [
        (
            LENIENT,
            Verdict.VERDICT_REVIEW,
            ["REVIEW"],
            ["BLOCK"],
        ),
        (WITHOUT_PACKS, Verdict.VERDICT_ALLOW, [], ["BLOCK"]),
    ],
    ids=["another step", "without the pack"],
)
def test_what_a_candidate_changes(
    candidate: PolicyInForce, after: Verdict.ValueType, gained: list[str], lost: list[str]
) -> None:
    """Verdicts, and which findings come and go, by the rule that makes them."""
    subject = Subject(Listing(title="Cup"), 1, sights.merged(sights.clean(), CONTACT), NOW)
    replayed = replay(recorded(subject), POLICY, candidate)
    assert (replayed.before.verdict, replayed.after.verdict) == (Verdict.VERDICT_BLOCK, after)
    assert replayed.verdict_changes
    assert [hit.action for hit in replayed.gained] == gained
    assert [hit.action for hit in replayed.lost] == lost
    assert all(hit.by.startswith("diversion contact.") for hit in replayed.gained + replayed.lost)


def test_a_new_version_alone_changes_nothing() -> None:
    """Findings are told apart by what made them and what they ask for, not by how packs are numbered."""
    text = pack.shipped_texts()["diversion.yaml"]
    newer = pack.load(text.replace('version: "1"', 'version: "2"', 1))
    subject = Subject(Listing(title="加微信领券"), 1, sights.clean(), NOW)
    candidate = POLICY.with_policy(POLICY.message, {"diversion": newer})
    assert candidate.packs[0].label == "diversion@2"
    assert not replay(recorded(subject), POLICY, candidate).changes


def hashed() -> Observations:
    observations = sights.clean()
    observations.detectors.append(DetectorInfo(name="hashes", completed=True))
    observations.pdq.append(PdqHash(hash=PDQ, quality=100))
    return observations


@pytest.mark.parametrize(
    ("expires_at", "after"),
    [("2026-11-26T00:00:00Z", Verdict.VERDICT_BLOCK), ("2026-11-25T00:00:00Z", Verdict.VERDICT_ALLOW)],
    ids=["held then", "had expired"],
)
def test_lists_hold_as_they_did_when_the_check_was_made(expires_at: str, after: Verdict.ValueType) -> None:
    """An entry counts by the time of the check, not of the replay."""
    candidate = POLICY.with_lists(lists.in_force(lists.known({"hash": PDQ.hex(), "expires_at": expires_at})))
    replayed = replay(recorded(Subject(Listing(title="Cup"), 1, hashed(), NOW)), POLICY, candidate)
    assert replayed.after.verdict == after
    if after == Verdict.VERDICT_BLOCK:
        assert replayed.gained == [Hit("list known", "prohibited_ads", "qr_code", "BLOCK")]


def test_a_tally_counts_checks() -> None:
    """A rule that matches twice in a check counts once, and what was recorded otherwise is told apart."""
    twice = sights.merged(sights.clean(), CONTACT, CONTACT)
    tally = Tally()
    for seen in (twice, sights.clean()):
        record = recorded(Subject(Listing(title="Cup"), 1, seen, NOW))
        tally.add(replay(record, POLICY, WITHOUT_PACKS))
    tally.add(replay(recorded(Subject(Listing(title="Cup"), 1, twice, NOW), WITHOUT_PACKS), POLICY, POLICY))
    assert (tally.checks, tally.verdict_changes, tally.recorded_otherwise) == (3, 1, 1)
    assert tally.verdicts[Verdict.VERDICT_BLOCK, Verdict.VERDICT_ALLOW] == 1
    assert set(tally.hits_before.values()) == {2}
    assert set(tally.hits_after.values()) == {1}


def test_nothing_found_is_nothing_to_tell() -> None:
    """A check on which both agree has neither gains nor losses."""
    replayed = replay(recorded(Subject(Listing(title="Cup"), 1, sights.clean(), NOW)), POLICY, LENIENT)
    assert replayed.before == Decision(Verdict.VERDICT_ALLOW, policies=replayed.before.policies)
    assert (replayed.changes, replayed.gained, replayed.lost) == (False, [], [])
