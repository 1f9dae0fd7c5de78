"""Brands: what marks in images and names in listings lead to, and where they could not be looked for."""

from datetime import UTC, datetime
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import sights
from gateway.brands import registries
from gateway.brands.registries import brand, candidate, compared
from ostiary.v1.decision_pb2 import Action, Finding, Verdict
from ostiary.v1.listing_pb2 import Listing
from ostiary.v1.observation_pb2 import BrandCandidate, Observations, PolicyState
from ostiary_gateway.brands.in_force import NO_BRANDS, Brands
from ostiary_gateway.policy import in_force
from ostiary_gateway.policy.decide import GRAVITY, Decision, Subject, decide
from ostiary_gateway.policy.in_force import PolicyInForce
from ostiary_gateway.rules import pack

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
ALLOW, REVIEW = Verdict.VERDICT_ALLOW, Verdict.VERDICT_REVIEW
BLOCK, HOLD = Verdict.VERDICT_BLOCK, Verdict.VERDICT_HOLD
JUDGED, UNSUPPORTED = PolicyState.POLICY_STATE_JUDGED, PolicyState.POLICY_STATE_UNSUPPORTED
UNREADABLE, UNAVAILABLE = PolicyState.POLICY_STATE_UNREADABLE, PolicyState.POLICY_STATE_UNAVAILABLE
SHIPPED = in_force.load(
    (files("ostiary_gateway") / "defaults/policy.yaml").read_text(encoding="utf-8"), pack.shipped()
)
STRICT = in_force.load('name: strict\nversion: "1"\npolicies: [{policy: logo_infringement}]', {})
HOUSE = registries.in_force(
    brand(authorisations=[{"seller": "s7", "territories": ["DE"], "validUntil": "2026-12-31T00:00:00Z"}]),
    brand("acmoria", shade=1, territories=["CN"]),
)


def seen(*candidates: BrandCandidate, images: int = 1, gallery: bytes = HOUSE.gallery) -> Observations:
    """Clean images of a pod that compared with a gallery."""
    observations = sights.merged(sights.clean(images), compared(gallery, *candidates))
    del observations.scores[:], observations.calibration[:]
    return observations


def judged(
    observations: Observations | None,
    brands: Brands = HOUSE,
    policy: PolicyInForce = SHIPPED,
    at: datetime = NOW,
    **listing: str,
) -> Decision:
    listed = Listing(**{"title": "Cup", "seller": "s9", "territory": "DE", **listing})
    count = max(1, len(observations.images)) if observations else 1
    return decide(Subject(listed, count, observations, at), policy.with_brands(brands))


def state(decision: Decision) -> int:
    return next(each.state for each in decision.policies if each.policy == "logo_infringement")


def only(decision: Decision) -> Finding:
    [finding] = decision.findings
    return finding


@pytest.mark.parametrize(
    ("mark", "listing", "label", "verdict"),
    [
        (candidate(), {}, "unauthorised_brand", BLOCK),
        (candidate(kind="word"), {}, "unauthorised_brand", BLOCK),
        (candidate(score=0.9), {}, "unauthorised_brand", REVIEW),
        (candidate(score=0.3), {}, "unauthorised_brand", ALLOW),
        (candidate(), {"seller": "s7"}, "authorised_brand", ALLOW),
        (candidate(), {"seller": ""}, "unclear_authorisation", REVIEW),
        (candidate(), {"seller": "s7", "territory": ""}, "unclear_authorisation", REVIEW),
        (candidate(), {"seller": "s7", "territory": "FR"}, "unclear_authorisation", REVIEW),
        (candidate("acmoria"), {}, "authorised_brand", ALLOW),
        (candidate("acmoria"), {"territory": "CN"}, "unauthorised_brand", BLOCK),
        (candidate("vellitor"), {}, "unclear_authorisation", REVIEW),
        (candidate("vellitor"), {"seller": "s7"}, "unclear_authorisation", REVIEW),
    ],
)
def test_marks_in_images(
    mark: BrandCandidate, listing: dict[str, str], label: str, verdict: Verdict.ValueType
) -> None:
    """Under the shipped policy, by seller and territory; each leaves a finding, the authorised ones too."""
    decision = judged(seen(mark), **listing)
    finding = only(decision)
    assert (finding.label, decision.verdict, state(decision)) == (label, verdict, JUDGED)
    assert finding.source == ("ocr" if mark.kind == "word" else "logo")
    assert (finding.evidence.brand, list(finding.regions)) == (mark, [mark.region])


def test_a_permission_ends() -> None:
    """Seller and place are right until the last moment, and then a person looks."""
    last = datetime(2026, 12, 30, 23, 59, 59, tzinfo=UTC)
    over = datetime(2026, 12, 31, tzinfo=UTC)
    assert only(judged(seen(candidate()), at=last, seller="s7")).label == "authorised_brand"
    finding = only(judged(seen(candidate()), at=over, seller="s7"))
    assert finding.label == "unclear_authorisation"
    assert "only until 2026-12-31" in finding.internal_reason


def test_the_territory_is_the_policys_where_the_listing_names_none() -> None:
    """As rule packs have it."""
    home = in_force.load(
        'name: a\nversion: "1"\ndefaultTerritory: DE\npolicies: [{policy: logo_infringement}]', {}
    )
    decision = judged(seen(candidate()), policy=home, seller="s7", territory="")
    assert only(decision).label == "authorised_brand"


def test_compliance_learns_why_and_sellers_learn_nothing_of_it() -> None:
    """Brand, registry, reference, score and reason on the one side; what to change on the other."""
    finding = only(judged(seen(candidate(score=0.9871))))
    for fact in ("Zorvane (zorvane, house@1)", "image 0", "zorvane-mark", "0.9871", "seller s9 is none of"):
        assert fact in finding.internal_reason
    assert finding.seller_reason == "Remove the brand's marks, or ask the brand for permission."


def test_an_unknown_brand_is_told() -> None:
    """A pod may know more than the registry does, for a moment; nothing of it is dropped."""
    assert "no registry in force knows the brand" in only(judged(seen(candidate("gone")))).internal_reason
    gone = only(judged(seen(candidate(reference="zorvane-old"))))
    assert gone.label == "unauthorised_brand"
    assert "the mark is no longer in the registry" in gone.internal_reason


def test_a_pattern_of_marks_is_one_finding() -> None:
    """With all its places, the surest mark as evidence; another image and another kind are others."""
    marks = [candidate(score=0.6, x=1), candidate(score=0.98, x=2), candidate(score=0.7, x=3)]
    decision = judged(seen(*marks, candidate(image=1), candidate(kind="word"), images=2))
    found = {(each.source, each.regions[0].image_index): each for each in decision.findings}
    assert len(found) == len(decision.findings) == 3
    assert [region.box.x for region in found["logo", 0].regions] == [2, 3, 1]
    assert found["logo", 0].evidence.brand == marks[1]


@pytest.mark.parametrize(
    ("listing", "field", "quoted"),
    [
        ({"title": "New ZORVANE® shoes, zorvane style"}, "title", "ZORVANE"),
        ({"claimed_brand": "Zor-Vane"}, "claimed_brand", "Zor-Vane"),
    ],
)
def test_names_in_the_listing(listing: dict[str, str], field: str, quoted: str) -> None:
    """A person looks at a name alone; it says what stood where. A seller with permission may use it."""
    decision = judged(seen(), **listing)
    finding = only(decision)
    assert (finding.label, finding.source, decision.verdict) == ("unauthorised_brand", "text", REVIEW)
    rule = finding.evidence.rule
    assert (rule.field, rule.matched_text, rule.rule, rule.pack) == (
        field,
        quoted,
        "zorvane-word",
        "house@1",
    )
    assert finding.evidence.brand.brand == "zorvane"
    allowed = judged(seen(), seller="s7", **listing)
    assert (only(allowed).label, allowed.verdict) == ("authorised_brand", ALLOW)


def test_names_are_judged_where_no_pod_answers() -> None:
    """They need none; the check is on hold all the same."""
    decision = judged(None, title="Zorvane")
    assert (only(decision).source, decision.verdict) == ("text", HOLD)


def completing(observations: Observations, *, completed: bool) -> Observations:
    for detector in observations.detectors:
        if detector.name == "logo":
            detector.completed = completed
    return observations


def without_logo(observations: Observations) -> Observations:
    kept = [each for each in observations.detectors if each.name != "logo"]
    del observations.detectors[:]
    observations.detectors.extend(kept)
    return observations


def incapable(observations: Observations) -> Observations:
    observations.capabilities.remove("logo_infringement")
    return observations


@pytest.mark.parametrize(
    ("observations", "brands", "expected", "words"),
    [
        (seen(), HOUSE, JUDGED, ""),
        (seen(gallery=b"o" * 32), HOUSE.believing([b"o" * 32]), JUDGED, ""),
        (
            seen(gallery=b"o" * 32),
            HOUSE,
            UNAVAILABLE,
            "does not hold the marks of the registries in force yet",
        ),
        (seen(gallery=b""), HOUSE, UNAVAILABLE, "does not hold the marks"),
        (incapable(seen(gallery=b"")), HOUSE, UNAVAILABLE, "does not hold the marks"),
        (completing(seen(), completed=False), HOUSE, UNAVAILABLE, "detector logo did not complete"),
        (without_logo(seen()), HOUSE, UNSUPPORTED, "No detector of the pod compares with the marks"),
        (sights.clean(), HOUSE, UNSUPPORTED, "No detector of the pod compares with the marks"),
        (incapable(seen()), HOUSE, UNSUPPORTED, "The bundle mini 1 cannot judge logo_infringement"),
        (seen(), NO_BRANDS, UNSUPPORTED, "put a brand registry in force"),
        (sights.clean(), NO_BRANDS, UNSUPPORTED, "The bundle mini 1 cannot judge logo_infringement"),
    ],
    ids=[
        "compared",
        "with the gallery before",
        "with another",
        "with none",
        "without a gallery nothing is judged",
        "not completed",
        "no detector, model capable",
        "no detector",
        "not capable",
        "nothing to compare with",
        "neither",
    ],
)
def test_where_marks_could_not_be_looked_for(
    observations: Observations, brands: Brands, expected: int, words: str
) -> None:
    """Only what was compared with the registries in force was judged; nothing else leads to ALLOW."""
    decision = judged(observations, brands, STRICT)
    assert state(decision) == expected
    assert decision.verdict == (ALLOW if expected == JUDGED else HOLD)
    assert words in " ".join(reason.detail for reason in decision.hold_reasons)


def test_a_model_that_is_asked_about_brands_needs_no_registry() -> None:
    """Its questions are judged as before, beside a detector without anything to compare with."""
    question = ("logo_infringement", "unauthorised_brand", "imitated_mark")
    observations = seen()
    observations.scores.append(sights.score(0.1, question=question))
    observations.calibration.append(sights.point(0.97, 0.8, question))
    assert judged(observations, NO_BRANDS, STRICT).verdict == ALLOW


def test_an_unsupported_policy_that_is_optional_holds_nothing() -> None:
    """As the shipped policy has it: a pod that cannot look for marks goes on as it did."""
    decision = judged(sights.clean())
    assert (decision.verdict, state(decision)) == (ALLOW, UNSUPPORTED)


def test_an_optional_policy_whose_marks_are_missing_holds() -> None:
    """Doing without pods that cannot compare is not doing without those that have not got the marks."""
    assert judged(seen(gallery=b"")).verdict == HOLD


@pytest.mark.parametrize(
    "broken",
    [candidate(score=float("nan")), candidate(score=1.2), candidate(image=7), candidate(image=-1)],
    ids=["not a number", "above one", "an image too many", "before the first"],
)
def test_a_broken_candidate_is_not_believed(broken: BrandCandidate) -> None:
    """Nor is anything else that such a pod says."""
    decision = judged(seen(broken))
    assert (decision.verdict, decision.findings) == (HOLD, ())


def test_the_receipts_digest_covers_the_registries() -> None:
    """Not which galleries are believed, and not at all where there are none."""
    digests = {
        SHIPPED.sha256,
        SHIPPED.with_brands(HOUSE).sha256,
        SHIPPED.with_brands(registries.in_force(brand(shade=9))).sha256,
    }
    assert len(digests) == 3
    assert SHIPPED.with_brands(NO_BRANDS).sha256 == SHIPPED.sha256
    assert SHIPPED.with_brands(HOUSE.believing([b"o" * 32])).sha256 == SHIPPED.with_brands(HOUSE).sha256


def test_an_allow_list_may_lift_a_mark() -> None:
    """`logo` is a source that a policy can name; what stands in listings never is."""
    text = 'name: a\nversion: "1"\npolicies: [{policy: logo_infringement, allowLifts: [SOURCE]}]'
    in_force.load(text.replace("SOURCE", "logo"), {})
    with pytest.raises(ValueError, match="allowLifts"):
        in_force.load(text.replace("SOURCE", "text"), {})


_CANDIDATES = st.lists(
    st.builds(
        candidate,
        st.sampled_from(["zorvane", "acmoria", "gone"]),
        st.floats(0, 1),
        st.sampled_from(["word", "figurative", "", "odd"]),
        st.integers(0, 1),
    ),
    max_size=4,
)
_LISTINGS = st.fixed_dictionaries(
    {
        "title": st.sampled_from(["Cup", "Zorvane cup", "acmoria"]),
        "claimed_brand": st.sampled_from(["", "ZORVANE"]),
        "seller": st.sampled_from(["", "s7", "s9"]),
        "category": st.sampled_from(["", "shoes", "toys"]),
        "territory": st.sampled_from(["", "DE", "CN"]),
    }
)


@given(_CANDIDATES, _LISTINGS, _CANDIDATES)
def test_more_marks_never_soften_the_verdict(
    few: list[BrandCandidate], listing: dict[str, str], more: list[BrandCandidate]
) -> None:
    """Whatever else is seen, what was seen before still counts."""
    before = judged(seen(*few, images=2), **listing).verdict
    after = judged(seen(*few, *more, images=2), **listing).verdict
    assert GRAVITY.index(after) >= GRAVITY.index(before)


@given(_CANDIDATES, _LISTINGS)
def test_every_candidate_is_accounted_for(marks: list[BrandCandidate], listing: dict[str, str]) -> None:
    """Each brand and image that a pod names stands in a finding, with one of three labels and two reasons."""
    # What it says against the claimed brand is another policy's, and has tests of its own.
    everything = judged(seen(*marks, images=2), **listing).findings
    found = [each for each in everything if each.policy == "logo_infringement"]
    named = {(each.evidence.brand.brand, region) for each in found for region in map(str, each.regions)}
    assert named == {(mark.brand, str(mark.region)) for mark in marks}
    for each in found:
        assert each.label in {"authorised_brand", "unauthorised_brand", "unclear_authorisation"}
        assert each.internal_reason
        assert each.seller_reason
        assert each.evidence.brand.brand not in each.seller_reason
        if each.label == "authorised_brand":
            assert each.action == Action.ACTION_NOTE
