"""Decisions: what each observation leads to, and what no observation may ever lead to."""

from datetime import UTC, datetime

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gateway import sights
from ostiary.v1.decision_pb2 import Action, Verdict
from ostiary.v1.image_pb2 import ImageFault
from ostiary.v1.listing_pb2 import Listing
from ostiary.v1.observation_pb2 import Barcode, Observations, OcrSpan, PolicyState
from ostiary_gateway.policy import in_force
from ostiary_gateway.policy.decide import GRAVITY, Decision, Subject, decide
from ostiary_gateway.rules import pack

NOW = datetime(2026, 11, 25, tzinfo=UTC)
PACKS = pack.shipped()
POLICY = in_force.load(
    """
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
        steps:
          - {action: ACTION_BLOCK, threshold: 0.9, sources: [barcode]}
          - {action: ACTION_REVIEW, targetPrecision: 0.95, sources: [vlm]}
  - policy: nudity
    optional: true
    labels:
      - label: explicit
        steps: [{action: ACTION_BLOCK, threshold: 0.8}]
""",
    PACKS,
)
STRICT = in_force.load(
    'name: strict\nversion: "1"\npolicies: [{policy: prohibited_ads}, {policy: nudity}]', PACKS
)
JUDGED, UNSUPPORTED = PolicyState.POLICY_STATE_JUDGED, PolicyState.POLICY_STATE_UNSUPPORTED
UNREADABLE, UNAVAILABLE = PolicyState.POLICY_STATE_UNREADABLE, PolicyState.POLICY_STATE_UNAVAILABLE
ALLOW, REVIEW = Verdict.VERDICT_ALLOW, Verdict.VERDICT_REVIEW
BLOCK, HOLD = Verdict.VERDICT_BLOCK, Verdict.VERDICT_HOLD
WECHAT = OcrSpan(text="微信：abc12345", confidence=0.9, region=sights.region())
QR = Barcode(format="QRCode", text="https://example.com/", region=sights.region())


def subject(
    observations: Observations | None, images: int = 1, title: str = "Cup", **more: object
) -> Subject:
    return Subject(Listing(title=title), images, observations, NOW, **more)  # type: ignore[arg-type]


def states(decision: Decision) -> dict[str, int]:
    return {result.policy: result.state for result in decision.policies}


def codes(decision: Decision) -> list[tuple[str, int]]:
    return [(reason.code, reason.image_index) for reason in decision.hold_reasons]


def test_nothing_seen_is_allowed() -> None:
    """All required policies were judged and nothing was found; the optional one is said to be unsupported."""
    decision = decide(subject(sights.clean(2), 2), POLICY)
    assert decision.verdict == ALLOW
    assert states(decision) == {"prohibited_ads": JUDGED, "nudity": UNSUPPORTED}
    assert not decision.findings
    assert not decision.hold_reasons


@pytest.mark.parametrize(
    ("seen", "verdict", "label", "source"),
    [
        (Observations(ocr=[WECHAT]), BLOCK, "contact_details", "ocr"),
        (Observations(ocr=[OcrSpan(text="微信", region=sights.region())]), REVIEW, "contact_details", "ocr"),
        (Observations(barcodes=[QR]), BLOCK, "qr_code", "barcode"),
    ],
    ids=["contact", "mention", "code"],
)
def test_evidence_and_its_verdict(seen: Observations, verdict: int, label: str, source: str) -> None:
    """Rules and decoded codes lead to what the policy says, with the place and both reasons."""
    decision = decide(subject(sights.merged(sights.clean(), seen)), POLICY)
    [finding] = decision.findings
    assert (decision.verdict, finding.label, finding.source) == (verdict, label, source)
    assert finding.regions
    assert finding.evidence.rule.pack == "diversion@1"
    assert finding.internal_reason


def test_listing_text_is_judged_beside_the_images() -> None:
    """A contact in the title is found though the images are clean."""
    decision = decide(subject(sights.clean(), title="Cup, 加微信领券"), POLICY)
    assert decision.verdict == BLOCK
    assert decision.findings[0].source == "text"
    assert decision.findings[0].evidence.rule.field == "title"


@pytest.mark.parametrize(
    ("probability", "table", "verdict"),
    [
        (0.85, [sights.point(0.97, 0.8)], REVIEW),
        (0.79, [sights.point(0.97, 0.8)], ALLOW),
        (0.85, [sights.point(0.90, 0.5), sights.point(0.99, 0.9)], ALLOW),
        (0.85, [sights.point(0.96, 0.7), sights.point(0.99, 0.9)], REVIEW),
        (0.99, [sights.point(0.90, 0.5)], ALLOW),
        (0.99, [], ALLOW),
        (1.0, [sights.point(0.97, 0.8, ("prohibited_ads", "qr_code", "another"))], HOLD),
    ],
    ids=["reached", "below", "only a higher row", "lowest row", "no row", "no table", "another question"],
)
def test_target_precision_is_looked_up(probability: float, table: list, verdict: int) -> None:  # type: ignore[type-arg]
    """The lowest threshold that reaches the precision on that very question decides; without one, nothing."""
    seen = sights.clean()
    seen.scores[0].probability = probability
    del seen.calibration[:]
    seen.calibration.extend(table)
    assert decide(subject(seen), POLICY).verdict == verdict


def test_a_model_alone_never_takes_a_step_of_other_sources() -> None:
    """The model is certain of a code, but BLOCK is for decoded ones."""
    seen = sights.clean()
    seen.scores[0].probability = 1.0
    decision = decide(subject(seen), POLICY)
    assert decision.verdict == REVIEW
    assert decision.findings[0].threshold == 0.8


def test_labels_that_the_policy_does_not_name_are_noted() -> None:
    """They show as notes and change nothing; unlikely answers of the model do not show at all."""
    seen = sights.merged(
        sights.clean(), Observations(ocr=[OcrSpan(text="lilyshop.com", region=sights.region())])
    )
    seen.scores.append(sights.score(0.7, question=("prohibited_ads", "medical_claim", "q")))
    seen.scores.append(sights.score(0.2, question=("prohibited_ads", "absolute_claim", "q")))
    decision = decide(subject(seen), POLICY)
    assert decision.verdict == ALLOW
    assert [(found.label, found.action) for found in decision.findings] == [
        ("medical_claim", Action.ACTION_NOTE),
        ("off_platform", Action.ACTION_NOTE),
    ]


def test_policies_that_are_not_named_are_not_judged() -> None:
    """Evidence for them is no finding."""
    seen = sights.merged(sights.clean(), Observations(ocr=[WECHAT]))
    only = in_force.load('name: a\nversion: "1"\nrulePacks: [diversion]\npolicies: [{policy: nudity}]', PACKS)
    seen.capabilities.append("nudity")
    decision = decide(subject(seen), only)
    assert (decision.verdict, decision.findings) == (ALLOW, ())


def test_the_gravest_finding_comes_first() -> None:
    """A reader sees what decided before what did not."""
    mention = OcrSpan(text="WhatsApp", region=sights.region(x=900))
    seen = sights.merged(sights.clean(), Observations(ocr=[mention, WECHAT], barcodes=[QR]))
    actions = [found.action for found in decide(subject(seen), POLICY).findings]
    assert actions == sorted(actions, reverse=True)
    assert len(actions) == 3


def test_an_image_fault_holds() -> None:
    """One of two images could not be read: no policy was fully judged."""
    seen = sights.clean()
    seen.faults.append(ImageFault(image_index=1, code="unreadable", detail="truncated"))
    decision = decide(subject(seen, 2), POLICY)
    assert decision.verdict == HOLD
    assert states(decision) == {"prohibited_ads": UNREADABLE, "nudity": UNSUPPORTED}
    assert codes(decision) == [("unreadable", 1)]


def test_an_image_that_nobody_looked_at_holds() -> None:
    """A pod that forgets an image does not get it published."""
    decision = decide(subject(sights.clean(1), 2), POLICY)
    assert (decision.verdict, codes(decision)) == (HOLD, [("unavailable", 1)])
    assert states(decision)["prohibited_ads"] == UNAVAILABLE


def test_a_detector_that_failed_holds() -> None:
    """OCR ran out of memory: the policy it serves could not be judged."""
    seen = sights.clean()
    seen.detectors[0].CopyFrom(sights.detector("ocr", completed=False))
    decision = decide(subject(seen), POLICY)
    assert (decision.verdict, codes(decision)) == (HOLD, [("unavailable", -1)])
    assert "out of memory" in decision.hold_reasons[0].detail


def test_a_question_that_was_not_answered_holds() -> None:
    """The bundle asks the question, but one image has no answer to it."""
    seen = sights.clean(2)
    del seen.scores[1]
    decision = decide(subject(seen, 2), POLICY)
    assert (decision.verdict, codes(decision)) == (HOLD, [("unavailable", -1)])


def test_a_required_policy_that_the_bundle_cannot_judge_holds() -> None:
    """The words say which bundle, which policy and what to do."""
    decision = decide(subject(sights.clean()), STRICT)
    assert (decision.verdict, codes(decision)) == (HOLD, [("unsupported", -1)])
    assert "mini 1 cannot judge nudity" in decision.hold_reasons[0].detail


def test_a_pack_without_its_detector_is_unsupported() -> None:
    """Rules over images mean nothing where no detector reads images."""
    seen = sights.clean()
    del seen.detectors[0]
    decision = decide(subject(seen), POLICY)
    assert states(decision)["prohibited_ads"] == UNSUPPORTED
    assert decision.verdict == HOLD


def test_an_optional_policy_that_fails_still_holds() -> None:
    """Doing without a policy where no bundle can judge it is not doing without its failures."""
    seen = sights.clean()
    seen.capabilities.append("nudity")
    seen.detectors.add(name="nudenet", completed=False, error="crashed", policies=["nudity"])
    decision = decide(subject(seen), POLICY)
    assert (decision.verdict, states(decision)["nudity"]) == (HOLD, UNAVAILABLE)


def test_block_stands_over_a_fault() -> None:
    """What was seen in one image is enough, whatever the other holds; the fault is still told."""
    seen = sights.merged(sights.clean(), Observations(ocr=[WECHAT]))
    seen.faults.append(ImageFault(image_index=1, code="empty"))
    decision = decide(subject(seen, 2), POLICY)
    assert (decision.verdict, codes(decision)) == (BLOCK, [("empty", 1)])


@pytest.mark.parametrize(
    ("failure_verdict", "verdict"),
    [(HOLD, HOLD), (REVIEW, REVIEW), (BLOCK, BLOCK), (ALLOW, HOLD), (Verdict.VERDICT_UNSPECIFIED, HOLD)],
)
def test_no_pod(failure_verdict: Verdict.ValueType, verdict: int) -> None:
    """The route says what a missing pod means; it cannot say ALLOW."""
    decision = decide(subject(None, failure_verdict=failure_verdict), POLICY)
    assert decision.verdict == verdict
    assert codes(decision) == [("unavailable", -1)]
    assert set(states(decision).values()) == {UNAVAILABLE}


def test_no_pod_and_a_contact_in_the_title() -> None:
    """The listing's text is judged all the same."""
    assert decide(subject(None, title="加微信领券"), POLICY).verdict == BLOCK


def test_flags_not_wanted() -> None:
    """A check that nobody judged is not allowed."""
    seen = sights.merged(sights.clean(), Observations(ocr=[WECHAT]))
    decision = decide(subject(seen, flags=False), POLICY)
    assert (decision.verdict, codes(decision)) == (HOLD, [("not_wanted", -1)])
    assert not decision.findings
    assert not decision.policies


def test_a_broken_pod_is_not_believed() -> None:
    """A probability that is none makes the whole answer worthless."""
    seen = sights.clean()
    seen.scores[0].probability = float("nan")
    decision = decide(subject(seen), POLICY)
    assert (decision.verdict, codes(decision)) == (HOLD, [("unavailable", -1)])


def sound_and_complete(seen: Observations | None, images: int) -> bool:
    """Written apart from the code it checks: nothing failed, everything required was there to be judged."""
    if seen is None or not seen.HasField("bundle") or seen.faults:
        return False
    if sorted(image.image_index for image in seen.images) != list(range(images)):
        return False
    if not all(0 <= item.probability <= 1 and 0 <= item.image_index < images for item in seen.scores):
        return False
    return "prohibited_ads" in seen.capabilities and all(
        any(item.name == name for item in seen.detectors) for name in ("ocr", "barcode")
    )


@settings(max_examples=600, deadline=None)
@given(seen=st.one_of(st.none(), sights.observations), images=st.integers(1, 3), flags=st.booleans())
def test_a_failure_never_turns_into_allow(seen: Observations | None, images: int, flags: bool) -> None:
    """Whatever observations come, ALLOW means that everything was judged and nothing asks for more."""
    decision = decide(subject(seen, images, flags=flags), POLICY)
    assert decision.verdict in GRAVITY
    if decision.verdict == ALLOW:
        assert sound_and_complete(seen, images)
        assert flags
        assert not decision.hold_reasons
        assert all(detector.completed for detector in seen.detectors)  # type: ignore[union-attr]
        assert all(found.action == Action.ACTION_NOTE for found in decision.findings)
    if decision.verdict == HOLD:
        assert decision.hold_reasons


@settings(max_examples=300, deadline=None)
@given(damages=st.sets(st.sampled_from(sorted(sights.DAMAGES)), max_size=4))
def test_any_damage_keeps_a_clean_check_from_allow(damages: set[str]) -> None:
    """Clean observations are allowed; with anything wrong, alone or together, they never are."""
    seen = sights.clean(2)
    for damage in sorted(damages):
        if seen.images and seen.scores:
            sights.DAMAGES[damage](seen)
    assert (decide(subject(seen, 2), POLICY).verdict == ALLOW) == (not damages)


@settings(max_examples=300, deadline=None)
@given(
    seen=sights.observations,
    extra=st.sampled_from([Observations(ocr=[WECHAT]), Observations(barcodes=[QR])]),
)
def test_more_evidence_never_softens_the_verdict(seen: Observations, extra: Observations) -> None:
    """Adding a sighting leaves the verdict or makes it graver."""
    before = decide(subject(seen, 2), POLICY).verdict
    after = decide(subject(sights.merged(seen, extra), 2), POLICY).verdict
    assert GRAVITY.index(after) >= GRAVITY.index(before)


@settings(max_examples=300, deadline=None)
@given(low=st.floats(0, 1), high=st.floats(0, 1), threshold=st.floats(0, 1))
def test_a_surer_model_never_softens_the_verdict(low: float, high: float, threshold: float) -> None:
    """The verdict only grows with the probability."""
    assume(low <= high)
    verdicts = []
    for probability in (low, high):
        seen = sights.clean()
        seen.scores[0].probability = probability
        seen.calibration[0].threshold = threshold
        verdicts.append(GRAVITY.index(decide(subject(seen), POLICY).verdict))
    assert verdicts == sorted(verdicts)


@settings(max_examples=200, deadline=None)
@given(seen=sights.observations)
def test_the_same_observations_give_the_same_decision(seen: Observations) -> None:
    """Decisions replay."""
    assert decide(subject(seen, 2), POLICY) == decide(subject(seen, 2), POLICY)


@settings(max_examples=200, deadline=None)
@given(seen=sights.observations, title=st.sampled_from(["", "加微信", "vx: lily8866", "13800138000"]))
def test_sellers_learn_no_words_and_no_numbers(seen: Observations, title: str) -> None:
    """What sellers are told holds neither the text that matched nor a score, a threshold or a rule's name."""
    for found in decide(subject(seen, 2, title=title), POLICY).findings:
        assert found.seller_reason
        assert not any(character.isdigit() for character in found.seller_reason)
        for secret in (
            found.evidence.rule.matched_text,
            found.evidence.rule.rule,
            found.evidence.barcode.text,
        ):
            assert not secret or secret not in found.seller_reason
