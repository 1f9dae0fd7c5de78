"""What stands in for a judgement that failed, and what nothing may ever stand in for."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import sights
from ostiary.v1.decision_pb2 import Verdict
from ostiary.v1.listing_pb2 import Listing
from ostiary.v1.observation_pb2 import Observations, OcrSpan, PolicyState
from ostiary_gateway.policy import in_force
from ostiary_gateway.policy.decide import Decision, Subject, decide
from ostiary_gateway.policy.in_force import PolicyInForce
from ostiary_gateway.rules import pack

NOW = datetime(2026, 11, 25, tzinfo=UTC)
ALLOW, REVIEW = Verdict.VERDICT_ALLOW, Verdict.VERDICT_REVIEW
BLOCK, HOLD = Verdict.VERDICT_BLOCK, Verdict.VERDICT_HOLD
SILENT = Verdict.VERDICT_UNSPECIFIED
JUDGED, CHEAP = PolicyState.POLICY_STATE_JUDGED, PolicyState.POLICY_STATE_CHEAP_TIER
UNAVAILABLE, UNSUPPORTED = PolicyState.POLICY_STATE_UNAVAILABLE, PolicyState.POLICY_STATE_UNSUPPORTED
WECHAT = Observations(ocr=[OcrSpan(text="微信：abc12345", confidence=0.9, region=sights.region())])
CHEAP_TIER = "failure: {fallback: FALLBACK_CHEAP_TIER}"
MAY_ALLOW = "failure: {fallback: FALLBACK_CHEAP_TIER, allowWithoutModel: true}"


def policy(
    failure: str = "", rule: str = "", nudity: str = "{policy: nudity, optional: true}"
) -> PolicyInForce:
    text = f"""
name: test
version: "1"
rulePacks: [diversion]
policies:
  - policy: prohibited_ads
    {rule or "optional: false"}
    labels:
      - {{label: contact_details, steps: [{{action: ACTION_BLOCK, threshold: 0.9, sources: [ocr, text]}}]}}
  - {nudity}
{failure}
"""
    return in_force.load(text, pack.shipped())


def decided(seen: Observations | None, by: PolicyInForce, title: str = "Cup", **more: object) -> Decision:
    return decide(Subject(Listing(title=title), 1, seen, NOW, **more), by)  # type: ignore[arg-type]


def state(decision: Decision, name: str = "prohibited_ads") -> int:
    return next(result.state for result in decision.policies if result.policy == name)


def without_model() -> Observations:
    """Decoded, and looked at by every detector; the model's question has no answer."""
    seen = sights.clean()
    del seen.scores[:]
    return seen


@pytest.mark.parametrize(
    ("failure", "verdict", "shown"),
    [
        ("", HOLD, UNAVAILABLE),
        ("failure: {fallback: FALLBACK_HOLD}", HOLD, UNAVAILABLE),
        ("failure: {fallback: FALLBACK_REVIEW}", REVIEW, UNAVAILABLE),
        (CHEAP_TIER, REVIEW, CHEAP),
        (MAY_ALLOW, ALLOW, CHEAP),
    ],
    ids=["silent", "hold", "review", "cheap tier", "cheap tier that may allow"],
)
def test_a_model_that_fails(failure: str, verdict: int, shown: int) -> None:
    """The author says what stands in; ALLOW takes an explicit word, and the state tells of it."""
    decision = decided(without_model(), policy(failure))
    assert (decision.verdict, state(decision)) == (verdict, shown)
    assert decision.cheap_tier is (shown == CHEAP)
    assert bool(decision.hold_reasons) is (verdict != ALLOW)


@pytest.mark.parametrize("failure", [CHEAP_TIER, MAY_ALLOW])
def test_what_the_cheap_tier_finds_stands(failure: str) -> None:
    """Text in the image and in the listing is judged as ever."""
    seen = sights.merged(without_model(), WECHAT)
    assert decided(seen, policy(failure)).verdict == BLOCK
    assert decided(without_model(), policy(failure), title="加微信领券").verdict == BLOCK
    assert decided(None, policy(failure), title="加微信领券").verdict == BLOCK


@pytest.mark.parametrize(
    ("failure", "route", "verdict", "shown"),
    [
        ("", SILENT, HOLD, UNAVAILABLE),
        ("", REVIEW, REVIEW, UNAVAILABLE),
        ("failure: {fallback: FALLBACK_REVIEW}", SILENT, REVIEW, UNAVAILABLE),
        ("failure: {fallback: FALLBACK_REVIEW}", HOLD, HOLD, UNAVAILABLE),
        ("failure: {fallback: FALLBACK_HOLD}", REVIEW, HOLD, UNAVAILABLE),
        (CHEAP_TIER, SILENT, REVIEW, CHEAP),
        (CHEAP_TIER, BLOCK, BLOCK, CHEAP),
        (MAY_ALLOW, SILENT, REVIEW, CHEAP),
        (MAY_ALLOW, ALLOW, HOLD, CHEAP),
    ],
)
def test_no_pod_at_all(failure: str, route: Verdict.ValueType, verdict: int, shown: int) -> None:
    """Policy and route both have a say, the graver holds; nothing allows images that nobody decoded."""
    decision = decided(None, policy(failure), failure_verdict=route)
    assert (decision.verdict, state(decision)) == (verdict, shown)
    assert [reason.code for reason in decision.hold_reasons] == ["unavailable"]


@pytest.mark.parametrize("damage", sorted(sights.DAMAGES))
def test_only_the_model_may_be_missing(damage: str) -> None:
    """Whatever else is wrong as well keeps the cheap tier from allowing."""
    seen = sights.clean(2)
    sights.DAMAGES[damage](seen)
    del seen.scores[:]
    verdict = decide(Subject(Listing(title="Cup"), 2, seen, NOW), policy(MAY_ALLOW)).verdict
    # These three are the model's own answers: with them gone, what they were makes no difference.
    own = {"an answer missing", "not a number", "above one"}
    assert (verdict == ALLOW) is (damage in own)


@pytest.mark.parametrize(
    ("rule", "failure", "verdict"),
    [
        ("onUnavailable: FALLBACK_REVIEW", "", REVIEW),
        ("onUnavailable: FALLBACK_HOLD", CHEAP_TIER, HOLD),
        ("onUnavailable: FALLBACK_CHEAP_TIER", "", REVIEW),
        ("onUnavailable: FALLBACK_CHEAP_TIER", "failure: {allowWithoutModel: true}", ALLOW),
    ],
)
def test_a_policy_has_the_last_word_on_itself(rule: str, failure: str, verdict: int) -> None:
    """`onUnavailable` beside a policy goes before `failure`."""
    assert decided(without_model(), policy(failure, rule)).verdict == verdict


@pytest.mark.parametrize(
    ("nudity", "verdict", "shown"),
    [
        ("{policy: nudity, optional: true}", ALLOW, UNSUPPORTED),
        ("{policy: nudity}", HOLD, UNSUPPORTED),
        ("{policy: nudity, onUnsupported: FALLBACK_REVIEW}", REVIEW, UNSUPPORTED),
        ("{policy: nudity, onUnsupported: FALLBACK_CHEAP_TIER}", REVIEW, CHEAP),
    ],
)
def test_a_policy_that_no_bundle_can_judge(nudity: str, verdict: int, shown: int) -> None:
    """`onUnsupported` says what stands in; `failure` speaks of failures alone."""
    for failure in ("", CHEAP_TIER):
        decision = decided(sights.clean(), policy(failure, nudity=nudity))
        assert (decision.verdict, state(decision, "nudity")) == (verdict, shown)
        assert state(decision) == JUDGED


@settings(max_examples=400, deadline=None)
@given(
    seen=st.one_of(st.none(), sights.observations),
    failure=st.sampled_from(["", CHEAP_TIER, MAY_ALLOW, "failure: {fallback: FALLBACK_REVIEW}"]),
    nudity=st.sampled_from(
        [
            "{policy: nudity}",
            "{policy: nudity, onUnsupported: FALLBACK_CHEAP_TIER}",
            "{policy: nudity, optional: true}",
        ]
    ),
    route=st.sampled_from([SILENT, REVIEW, HOLD, BLOCK, ALLOW]),
)
def test_a_failure_never_becomes_allow_by_itself(
    seen: Observations | None, failure: str, nudity: str, route: Verdict.ValueType
) -> None:
    """Whatever was seen: ALLOW where all was judged, or where the author said so, and then it is marked."""
    decision = decided(seen, policy(failure, nudity=nudity), failure_verdict=route)
    if decision.verdict != ALLOW:
        assert decision.verdict != HOLD or decision.hold_reasons
        return
    assert seen is not None
    assert not decision.hold_reasons
    for result in decision.policies:
        passed = result.state == JUDGED or (result.optional and result.state == UNSUPPORTED)
        assert passed or (failure == MAY_ALLOW and result.state == CHEAP)


def test_sellers_hear_the_authors_words() -> None:
    """`sellerReason` beside a label takes the place of the stock words, for whatever finds it."""
    by = policy()
    by.message.policies[0].labels[0].seller_reason = "请删除联系方式。"
    [finding] = decided(None, by, title="加微信领券").findings
    assert finding.seller_reason == "请删除联系方式。"
    assert "请删除" not in finding.internal_reason
