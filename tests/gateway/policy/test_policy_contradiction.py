"""Claims of a listing against what was seen: what is found, and where nothing may be said."""

from datetime import UTC, datetime
from importlib.resources import files

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import sights
from ostiary.v1.decision_pb2 import Action, Verdict
from ostiary.v1.image_pb2 import ImageFault
from ostiary.v1.listing_pb2 import Listing
from ostiary.v1.observation_pb2 import Attribute, AttributeChoices, Observations, PolicyState
from ostiary_gateway.policy import in_force
from ostiary_gateway.policy.decide import Decision, Subject, decide
from ostiary_gateway.rules import pack

POLICY = in_force.load(
    (files("ostiary_gateway") / "defaults/policy.yaml").read_text(encoding="utf-8"), pack.shipped()
)
NOW = datetime(2026, 11, 25, tzinfo=UTC)
ALLOW, REVIEW = Verdict.VERDICT_ALLOW, Verdict.VERDICT_REVIEW
CHOICES = {
    "category": ["dress", "hat", "pants", "shirt", "shoes", "skirt", "t-shirt", "unknown"],
    "colour": ["black", "blue", "green", "red", "white", "yellow", "unknown"],
}
LISTING = Listing(title="Navy cotton shirt", category="Clothing > Shirts")


def seen(choices: dict[str, list[str]] = CHOICES, **values: tuple[str, float]) -> Observations:
    """Clean observations of a product with these attributes."""
    observations = sights.clean()
    del observations.scores[:], observations.calibration[:]
    observations.attributes.extend(
        Attribute(name=name, value=value, confidence=confidence)
        for name, (value, confidence) in values.items()
    )
    observations.choices.extend(AttributeChoices(name=name, values=each) for name, each in choices.items())
    return observations


def judged(observations: Observations, listing: Listing = LISTING) -> Decision:
    return decide(Subject(listing, 1, observations, NOW), POLICY)


def test_a_wrong_category_is_for_a_person_to_look_at() -> None:
    """The finding says what was claimed where, what was seen, and how certain that is."""
    decision = judged(seen(category=("shoes", 0.99)))
    assert decision.verdict == REVIEW
    [found] = decision.findings
    assert (found.policy, found.label, found.source) == ("listing_accuracy", "contradicted_category", "vlm")
    assert (found.action, found.score) == (Action.ACTION_REVIEW, 0.99)
    against = found.evidence.contradiction
    assert (against.about, against.field, against.claimed) == ("category", "category", "Shirts")
    assert (against.seen, against.confidence) == ("shoes", 0.99)
    assert "'Shirts'" in found.internal_reason
    for secret in ("Shirts", "shoes", "0.99"):
        assert secret not in found.seller_reason


def test_a_wrong_colour_is_for_a_person_to_look_at() -> None:
    """By the words of the title."""
    [found] = judged(seen(category=("shirt", 0.99), colour=("yellow", 0.995))).findings
    assert (found.label, found.evidence.contradiction.field) == ("contradicted_colour", "title")
    assert (found.evidence.contradiction.claimed, found.evidence.contradiction.seen) == ("Navy", "yellow")


def unreadable() -> Observations:
    """Clean observations, but that the one image could not be read."""
    observations = sights.clean()
    del observations.images[:], observations.scores[:], observations.calibration[:]
    observations.faults.append(ImageFault(code="unreadable"))
    return observations


QUIET = {
    "what is claimed is seen": (LISTING, seen(category=("shirt", 0.99), colour=("blue", 0.99))),
    "what is seen is near": (LISTING, seen(category=("t-shirt", 0.99), colour=("black", 0.99))),
    "not certain enough": (LISTING, seen(category=("shoes", 0.6), colour=("yellow", 0.6))),
    "nothing is seen": (LISTING, seen(category=("unknown", 0.99), colour=("unknown", 0.99))),
    "a value outside the vocabulary": (
        LISTING,
        seen({"category": ["shirt", "lamp"]}, category=("lamp", 0.99)),
    ),
    "nothing is claimed": (Listing(title="Cup"), seen(category=("shoes", 0.99), colour=("red", 0.99))),
    "words outside the vocabulary": (Listing(category="Gifts"), seen(category=("shoes", 0.99))),
    "a bundle that knows no such thing": (Listing(category="Handbags"), seen(category=("shoes", 0.99))),
    "a bundle that does not say what it knows": (LISTING, seen({}, category=("shoes", 0.99))),
    "several things at once": (Listing(category="Two-piece set"), seen(category=("shoes", 0.99))),
    "several colours": (Listing(title="Striped red shirt"), seen(colour=("blue", 0.99))),
    "another language": (Listing(category="衬衫", title="藏青色衬衫"), seen(category=("shirt", 1.0))),
}


@pytest.mark.parametrize("name", QUIET)
def test_quiet(name: str) -> None:
    """Where the pod agrees, is unsure or cannot know, nothing is found."""
    listing, observations = QUIET[name]
    decision = judged(observations, listing)
    assert (decision.verdict, decision.findings) == (ALLOW, ())


@pytest.mark.parametrize(
    "listing", [Listing(category="连衣裙"), Listing(category="連衣裙"), Listing(title="红色")]
)
def test_claims_in_chinese(listing: Listing) -> None:
    """Both ways of writing."""
    observations = seen(category=("shoes", 0.99), colour=("green", 0.99))
    assert judged(observations, listing).verdict == REVIEW


@pytest.mark.parametrize(
    ("observations", "state"),
    [
        (seen(category=("shirt", 0.9)), PolicyState.POLICY_STATE_JUDGED),
        (sights.clean(), PolicyState.POLICY_STATE_UNSUPPORTED),
        (unreadable(), PolicyState.POLICY_STATE_UNREADABLE),
    ],
    ids=["attributes", "none", "nothing readable"],
)
def test_it_is_judged_where_attributes_are_seen(observations: Observations, state: int) -> None:
    """Without attributes there is nothing to compare with, and the answer says so."""
    states = {result.policy: result.state for result in judged(observations).policies}
    assert states["listing_accuracy"] == state


def test_a_confidence_that_is_none_is_not_believed() -> None:
    """As with any other number of a broken pod."""
    assert judged(seen(category=("shirt", float("nan")))).verdict == Verdict.VERDICT_HOLD


@settings(max_examples=200, deadline=None)
@given(
    category=st.sampled_from(CHOICES["category"]),
    colour=st.sampled_from(CHOICES["colour"]),
    low=st.floats(0, 1),
    high=st.floats(0, 1),
)
def test_a_surer_pod_never_softens_the_verdict(category: str, colour: str, low: float, high: float) -> None:
    """The verdict grows with the confidence, and a claim alone never blocks."""
    low, high = sorted((low, high))
    verdicts = [judged(seen(category=(category, x), colour=(colour, x))).verdict for x in (low, high)]
    assert verdicts == sorted(verdicts)
    assert verdicts[-1] in (ALLOW, REVIEW)
