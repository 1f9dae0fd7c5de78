"""Known images: what block-lists ask for, and what allow-lists lift and never lift."""

import hashlib
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import sights
from gateway.hashes import lists
from ostiary.v1.decision_pb2 import Action, Finding, Verdict
from ostiary.v1.listing_pb2 import Listing
from ostiary.v1.observation_pb2 import Barcode, DetectorInfo, Observations, PdqHash, PolicyState
from ostiary_gateway.hashes.in_force import HashLists, ListInForce
from ostiary_gateway.policy import in_force
from ostiary_gateway.policy.decide import GRAVITY, Decision, Subject, decide
from ostiary_gateway.policy.in_force import PolicyInForce
from ostiary_gateway.rules import pack

PACKS = pack.shipped()
NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
ALLOW, REVIEW = Verdict.VERDICT_ALLOW, Verdict.VERDICT_REVIEW
BLOCK, HOLD = Verdict.VERDICT_BLOCK, Verdict.VERDICT_HOLD
TEXT = """
name: test
version: "1"
rulePacks: [diversion]
policies:
  - policy: prohibited_ads
    allowLifts: [LIFTS]
    labels:
      - label: qr_code
        steps:
          - {action: ACTION_BLOCK, threshold: 0.9, sources: [barcode]}
          - {action: ACTION_REVIEW, threshold: 0.8, sources: [vlm]}
  - policy: nudity
    optional: true
"""
PDQ = bytes.fromhex("f8f8f0cee0f4a84f06370a22038f63f0b36e2ed596621e1d33e6b39c4e9c9b22")
FAR = bytes.fromhex("e64cc9d91c623882f8d1f1d9a398e78c9f199b3bd83924f2b7e11e0bf861b064")
CANONICAL = hashlib.sha256(b"canonical").hexdigest()
RAW = hashlib.sha256(b"raw").hexdigest()
QR = Barcode(format="QRCode", text="https://example.com/", region=sights.region())


def near(distance: int) -> bytes:
    """A hash so many bits from PDQ."""
    return (int.from_bytes(PDQ) ^ ((1 << distance) - 1)).to_bytes(32)


def policy(held: HashLists, lifts: str = "") -> PolicyInForce:
    return in_force.load(TEXT.replace("LIFTS", lifts), PACKS).with_lists(held)


def seen(*hashes: PdqHash, images: int = 1, completed: bool = True) -> Observations:
    """Clean observations of a pod with the hash detector; PDQ of each image unless given."""
    observations = sights.clean(images)
    observations.detectors.append(
        DetectorInfo(name="hashes", completed=completed, error="" if completed else "out of memory")
    )
    observations.pdq.extend(
        hashes or [PdqHash(image_index=at, hash=PDQ, quality=100) for at in range(images)]
    )
    return observations


def suspicious() -> Observations:
    """As `seen`, and the model is certain of a code."""
    observations = seen()
    observations.scores[0].probability = 0.95
    return observations


def judged(
    observations: Observations, held: HashLists, lifts: str = "", seller: str = "s7", at: datetime = NOW
) -> Decision:
    listing = Listing(title="Cup", seller=seller)
    subject = Subject(listing, max(1, len(observations.images)), observations, at, tenant="t1")
    return decide(subject, policy(held, lifts))


def blocking(hash_: bytes | str = PDQ, **more: object) -> ListInForce:
    text = hash_ if isinstance(hash_, str) else hash_.hex()
    return lists.known({"hash": text, "source": "exchange", "note": "seen before"}, **more)


def sha256(hash_: str = CANONICAL, **more: object) -> ListInForce:
    return blocking(hash_, name="exact", kind="HASH_KIND_SHA256", **more)


def allowing(
    hash_: bytes | str = PDQ, seller: str = "s7", until: str = "", tenant: str = "", **more: object
) -> ListInForce:
    text = hash_ if isinstance(hash_, str) else hash_.hex()
    entry = {"hash": text, "seller": seller, "expires_at": until, "note": "appeal 12", "tenant": tenant}
    return lists.known(entry, **{"name": "appeals", "action": "ACTION_NOTE", **more})


BARE = policy(lists.in_force())
ALLOWING = policy(lists.in_force(allowing(until=NOW.isoformat())))
BLOCKING = policy(lists.in_force(blocking(), sha256()))


def test_a_known_image_is_found_with_its_evidence() -> None:
    """List, entry, source and distance are what a compliance team asks about first."""
    decision = judged(seen(), lists.in_force(blocking(near(3))))
    [finding] = decision.findings
    assert decision.verdict == BLOCK
    assert (finding.policy, finding.label, finding.source) == ("prohibited_ads", "qr_code", "pdq")
    assert (finding.score, finding.threshold) == (1 - 3 / 256, 1 - 31 / 256)
    known = finding.evidence.known_image
    assert (known.list, known.distance, known.source, known.note) == ("known@1", 3, "exchange", "seen before")
    assert known.hash == near(3)
    assert "known@1" in finding.internal_reason
    assert "3 bits away" in finding.internal_reason
    assert "known" not in finding.seller_reason


@pytest.mark.parametrize(
    ("held", "verdict"),
    [
        (blocking(), BLOCK),
        (blocking(action="ACTION_REVIEW"), REVIEW),
        (blocking(near(31)), BLOCK),
        (blocking(near(32)), ALLOW),
        (blocking(near(6), maxDistance=5), ALLOW),
        (blocking(FAR), ALLOW),
        (sha256(), BLOCK),
        (sha256(RAW), BLOCK),
        (sha256("00" * 32), ALLOW),
        (blocking(policy="not_in_the_policy"), BLOCK),
        (lists.known({"hash": PDQ.hex(), "seller": "s8"}), ALLOW),
        (lists.known({"hash": PDQ.hex(), "expires_at": "2026-11-25T12:00:00Z"}), ALLOW),
        (lists.known({"hash": PDQ.hex(), "expires_at": "2026-11-25T12:00:01Z"}), BLOCK),
    ],
    ids=[
        "block", "review", "farthest", "too far", "list's own distance", "another image", "canonical bytes",
        "sent bytes", "other bytes", "policy that is not named", "another seller's", "expired",
        "not yet expired",
    ],
)  # fmt: skip
def test_what_a_list_asks_for(held: ListInForce, verdict: int) -> None:
    """Its action, within its distance, while its entry holds, whatever the policy names."""
    assert judged(seen(), lists.in_force(held)).verdict == verdict


def test_an_image_with_nothing_in_it_is_not_compared() -> None:
    """Plain backgrounds all look alike to PDQ, and its quality says so."""
    flat = seen(PdqHash(hash=PDQ, quality=49))
    assert judged(flat, lists.in_force(blocking())).verdict == ALLOW
    assert judged(flat, lists.in_force(blocking(), sha256())).verdict == BLOCK


def test_any_frame_of_an_animation_can_be_known() -> None:
    """The nearest of its frames is the evidence; one finding for each list."""
    frames = [PdqHash(hash=each, quality=100, frame=at) for at, each in enumerate([FAR, near(9), near(2)])]
    [finding] = judged(seen(*frames), lists.in_force(blocking())).findings
    assert (finding.evidence.known_image.frame, finding.evidence.known_image.distance) == (2, 2)


def test_each_image_is_found_in_each_list() -> None:
    """Two images that two lists know are four findings."""
    decision = judged(seen(images=2), lists.in_force(blocking(), sha256()))
    found = [(each.source, each.evidence.known_image.image_index) for each in decision.findings]
    assert sorted(found) == [("pdq", 0), ("pdq", 1), ("sha256", 0), ("sha256", 1)]


@pytest.mark.parametrize(
    ("held", "lifts", "verdict"),
    [
        ([], "", REVIEW),
        ([allowing()], "", ALLOW),
        ([allowing(lifts=["barcode"])], "", REVIEW),
        ([allowing(lifts=["vlm"])], "barcode", ALLOW),
        ([allowing(tenant="t1")], "", ALLOW),
        ([allowing(tenant="t2")], "", REVIEW),
        ([allowing(near(31))], "", ALLOW),
        ([allowing(CANONICAL, kind="HASH_KIND_SHA256")], "", ALLOW),
        ([allowing(seller="")], "", ALLOW),
        ([allowing(label="")], "", ALLOW),
        ([allowing(until="2026-11-25T12:00:01Z")], "", ALLOW),
        ([allowing(until="2026-11-25T12:00:00Z")], "", REVIEW),
        ([allowing(seller="s8")], "", REVIEW),
        ([allowing(FAR)], "", REVIEW),
        ([allowing(policy="nudity")], "", REVIEW),
        ([allowing(label="contact_details")], "", REVIEW),
        ([allowing()], "barcode", REVIEW),
        ([allowing(), blocking()], "", BLOCK),
        ([allowing(), blocking()], "vlm, pdq", ALLOW),
        ([allowing(), sha256()], "vlm, pdq", BLOCK),
        ([allowing(), sha256()], "vlm, sha256", ALLOW),
    ],
    ids=[
        "none", "hers", "list lifts codes alone", "list lifts the model",
        "her tenant's", "another tenant's",
        "near", "exact", "everybody's", "all labels", "not yet expired", "expired",
        "another's", "another image", "another policy", "another label", "policy lifts codes alone",
        "block-list", "block-list, as the policy says", "exact block-list",
        "exact block-list, as the policy says",
    ],
)  # fmt: skip
def test_what_an_allow_list_lifts(held: list[ListInForce], lifts: str, verdict: int) -> None:
    """The model's findings on that seller's image while it holds; a block-list's where the policy says so."""
    assert judged(suspicious(), lists.in_force(*held), lifts).verdict == verdict


def test_what_was_lifted_stays_as_a_note() -> None:
    """Nothing is hidden from the record: the finding, and the entry that lifted it, are both there."""
    [finding] = judged(suspicious(), lists.in_force(allowing(until="2027-01-01T00:00:00Z"))).findings
    assert finding.action == Action.ACTION_NOTE
    assert finding.evidence.score.probability == 0.95
    by = finding.evidence.allowed_by
    assert (by.list, by.seller, by.note) == ("appeals@1", "s7", "appeal 12")
    assert by.expires_at.ToDatetime(UTC) == datetime(2027, 1, 1, tzinfo=UTC)
    assert "allowed by appeals@1" in finding.internal_reason
    assert not finding.seller_reason


def test_rules_and_codes_stand_unless_the_policy_says_so() -> None:
    """An entry for what the model saw says nothing of a code that was decoded."""
    coded = sights.merged(seen(), Observations(barcodes=[QR]))
    assert judged(coded, lists.in_force(allowing())).verdict == BLOCK
    assert judged(coded, lists.in_force(allowing()), "barcode").verdict == ALLOW


def test_another_image_of_the_check_is_not_allowed_with_it() -> None:
    """An entry lifts findings on its own image alone."""
    two = seen(PdqHash(hash=PDQ, quality=100), PdqHash(image_index=1, hash=FAR, quality=100), images=2)
    two.scores[1].probability = 0.95
    assert judged(two, lists.in_force(allowing())).verdict == REVIEW
    two.scores[1].probability, two.scores[0].probability = 0.01, 0.95
    assert judged(two, lists.in_force(allowing())).verdict == ALLOW


@pytest.mark.parametrize(
    "second", [PdqHash(hash=FAR, quality=100, frame=1), PdqHash(hash=PDQ, quality=20, frame=1)],
    ids=["unknown", "nothing in it"],
)  # fmt: skip
def test_an_animation_is_allowed_only_whole(second: PdqHash) -> None:
    """A frame that the list does not know may be what the model saw."""
    observations = seen(PdqHash(hash=PDQ, quality=100), second)
    observations.scores[0].probability = 0.95
    assert judged(observations, lists.in_force(allowing())).verdict == REVIEW


@pytest.mark.parametrize(
    ("observations", "code", "words"),
    [
        (sights.clean(), "unsupported", "no detector `hashes`"),
        (seen(completed=False), "unavailable", "did not complete: out of memory"),
        (seen(PdqHash(hash=PDQ, quality=100), images=2), "unavailable", "no perceptual hash of the image"),
    ],
    ids=["no detector", "detector failed", "an image without"],
)
def test_a_list_that_cannot_be_asked_holds_the_check(
    observations: Observations, code: str, words: str
) -> None:
    """A pod that gives no hash never makes an image unknown; lists that only allow do without it."""
    decision = judged(observations, lists.in_force(blocking(FAR)))
    assert decision.verdict == HOLD
    [reason] = decision.hold_reasons
    assert (reason.code, words in reason.detail, "known" in reason.detail) == (code, True, True)
    states = {result.policy: result.state for result in decision.policies}
    assert states["prohibited_ads"] == PolicyState.POLICY_STATE_UNAVAILABLE
    assert judged(observations, lists.in_force(allowing(FAR), sha256("00" * 32))).verdict == ALLOW


@pytest.mark.parametrize(
    "bad",
    [
        PdqHash(hash=PDQ[:31], quality=100),
        PdqHash(hash=PDQ, quality=101),
        PdqHash(hash=PDQ, quality=-1),
        PdqHash(hash=PDQ, quality=100, image_index=1),
    ],
    ids=["31 bytes", "quality above 100", "quality below 0", "an image that is not there"],
)
def test_hashes_that_are_none_are_not_believed(bad: PdqHash) -> None:
    """A broken pod's answer is worth nothing, with lists and without."""
    assert judged(seen(bad), lists.in_force()).verdict == HOLD


def test_the_lists_stand_in_the_receipt() -> None:
    """Another list makes another digest; none leaves the policy's own."""
    alone = policy(lists.in_force())
    digests = {
        each.sha256
        for each in (alone, policy(lists.in_force(blocking())), policy(lists.in_force(blocking(version="2"))))
    }
    assert len(digests) == 3
    assert alone.sha256 == in_force.load(TEXT.replace("LIFTS", ""), PACKS).sha256


def test_a_source_that_cannot_be_lifted_is_refused() -> None:
    """Listing texts are not of an image, and a typing error would lift nothing."""
    with pytest.raises(ValueError, match=r"policies\[0\]\.allowLifts: \['text'\] is none of"):
        policy(lists.in_force(), "text")


@given(
    observations=sights.observations,
    hashes=st.lists(
        st.builds(PdqHash, hash=st.sampled_from([PDQ, FAR]), quality=st.integers(0, 100)), max_size=2
    ),
    seconds=st.integers(-5, 5),
)
def test_allow_lists_never_allow_what_failed(
    observations: Observations, hashes: list[PdqHash], seconds: int
) -> None:
    """Whatever a pod says: a check that is held without allow-lists is not allowed with them."""
    observations.pdq.extend(hashes)
    at = NOW + timedelta(seconds=seconds)
    subject = Subject(Listing(title="Cup", seller="s7"), 2, observations, at)
    before, after = decide(subject, BARE), decide(subject, ALLOWING)
    assert after.hold_reasons == before.hold_reasons
    assert not before.hold_reasons or GRAVITY.index(after.verdict) >= GRAVITY.index(HOLD)
    assert len(after.findings) == len(before.findings)


@given(observations=sights.observations)
def test_block_lists_only_make_graver(observations: Observations) -> None:
    """No observations are judged more kindly because a list asks for more."""
    subject = Subject(Listing(title="Cup"), 2, observations, NOW)
    before, after = decide(subject, BARE), decide(subject, BLOCKING)
    assert GRAVITY.index(after.verdict) >= GRAVITY.index(before.verdict)


def test_the_gravest_finding_comes_first() -> None:
    """A block by a list stands before a note of the model."""
    found: list[Finding] = list(judged(suspicious(), lists.in_force(allowing(), sha256())).findings)
    assert [each.source for each in found] == ["sha256", "vlm"]
