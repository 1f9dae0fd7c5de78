"""Steps for some listings only: exceptions by category and by what was seen."""

from datetime import UTC, datetime
from importlib.resources import files

import pytest

from gateway import sights
from ostiary.v1.decision_pb2 import Action, Verdict
from ostiary.v1.image_pb2 import Region
from ostiary.v1.listing_pb2 import Listing
from ostiary.v1.observation_pb2 import Attribute, Observations, PolicyScore
from ostiary_gateway.policy import in_force
from ostiary_gateway.policy.decide import Decision, Subject, decide
from ostiary_gateway.rules import pack

PACKS = pack.shipped()
SHIPPED = in_force.load(
    (files("ostiary_gateway") / "defaults/policy.yaml").read_text(encoding="utf-8"), PACKS
)
NOW = datetime(2026, 11, 25, tzinfo=UTC)
ALLOW, REVIEW, BLOCK = Verdict.VERDICT_ALLOW, Verdict.VERDICT_REVIEW, Verdict.VERDICT_BLOCK


def seen(label: str, score: float = 0.95, *attributes: Attribute) -> Observations:
    """Clean observations of a pod whose nudity detector saw a part that speaks for a label."""
    observations = sights.clean()
    del observations.scores[:], observations.calibration[:]
    observations.capabilities.append("nudity")
    observations.detectors.add(name="nudity", completed=True, policies=["nudity"])
    observations.attributes.extend(attributes)
    observations.scores.append(
        PolicyScore(
            policy="nudity",
            label=label,
            question="a_part",
            probability=score,
            source="nudity",
            region=sights.region(),
        )
    )
    return observations


def styled(value: str, confidence: float) -> Attribute:
    return Attribute(name="styling", value=value, confidence=confidence)


def judged(
    observations: Observations, category: str = "", policy: in_force.PolicyInForce = SHIPPED
) -> Decision:
    return decide(Subject(Listing(category=category), 1, observations, NOW), policy)


@pytest.mark.parametrize(
    ("label", "category", "verdict"),
    [
        ("underwear_swimwear", "Women > Dresses", REVIEW),
        ("underwear_swimwear", "", REVIEW),
        ("underwear_swimwear", "Women > Lingerie > Sets", ALLOW),
        ("underwear_swimwear", "Swimwear", ALLOW),
        ("underwear_swimwear", "泳装", ALLOW),
        ("underwear_swimwear", "婴儿内衣", ALLOW),
        ("underwear_swimwear", "Baby > Clothing", ALLOW),
        ("underwear_swimwear", "Shop fittings > Mannequins", ALLOW),
        ("suggestive", "Lingerie", ALLOW),
        ("suggestive", "Baby clothes", REVIEW),
        ("partial", "Mannequins", ALLOW),
        ("partial", "Lingerie", REVIEW),
        ("partial", "Baby clothes", REVIEW),
        ("explicit", "Lingerie", REVIEW),
        ("explicit", "Swimwear", REVIEW),
        ("explicit", "Mannequins", REVIEW),
        ("explicit", "Baby clothes", REVIEW),
    ],
)
def test_exceptions_of_the_shipped_policy(label: str, category: str, verdict: Verdict.ValueType) -> None:
    """What is ordinary for what is sold needs nobody; explicit nudity has no exception anywhere."""
    decision = judged(seen(label), category)
    assert decision.verdict == verdict
    [found] = decision.findings
    assert found.action == (Action.ACTION_REVIEW if verdict == REVIEW else Action.ACTION_NOTE)


def test_the_place_and_the_part_are_evidence() -> None:
    """A reviewer sees what was taken for what, and where."""
    [found] = judged(seen("explicit")).findings
    assert list(found.regions) == [sights.region()]
    assert (found.source, found.evidence.score.question) == ("nudity", "a_part")
    assert "nudity saw a_part" in found.internal_reason


@pytest.mark.parametrize(
    ("attribute", "verdict"),
    [
        (styled("on a mannequin", 0.95), ALLOW),
        (styled("on a mannequin", 0.8), REVIEW),
        (styled("on a person", 0.95), REVIEW),
        (Attribute(name="style", value="on a mannequin", confidence=0.95), REVIEW),
    ],
    ids=["a mannequin", "perhaps a mannequin", "a person", "another attribute"],
)
def test_mannequins(attribute: Attribute, verdict: Verdict.ValueType) -> None:
    """A mannequin is nobody, where the bundle is certain that it is one."""
    assert judged(seen("partial", 0.95, attribute)).verdict == verdict


def test_the_detector_alone_never_blocks() -> None:
    """Its confidence is not a calibrated probability, however high."""
    assert judged(seen("explicit", 1.0)).verdict == REVIEW
    assert judged(seen("explicit", 0.1)).verdict == ALLOW


def test_a_place_in_an_image_that_is_not_there_is_not_believed() -> None:
    """As with any other region."""
    observations = seen("explicit")
    observations.scores[0].region.CopyFrom(Region(image_index=4))
    assert judged(observations).verdict == Verdict.VERDICT_HOLD


TEXT = """
name: test
version: "1"
policies:
  - policy: nudity
    labels:
      - label: partial
        steps:
          - {action: ACTION_BLOCK, threshold: 0.5, categories: [toys]}
          - {action: ACTION_REVIEW, threshold: 0.5}
vocabulary:
  categories: [{name: toys, words: [toy]}]
"""


@pytest.mark.parametrize(
    ("category", "verdict"),
    [("Toys", BLOCK), ("Books", REVIEW), ("", REVIEW)],
    ids=["meant", "another", "none"],
)
def test_a_step_for_a_category(category: str, verdict: Verdict.ValueType) -> None:
    """It is taken where the listing claims the category, and nowhere else; the reason says so."""
    decision = judged(seen("partial"), category, in_force.load(TEXT, PACKS))
    assert decision.verdict == verdict
    assert ("for toys" in decision.findings[0].internal_reason) == (verdict == BLOCK)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("categories: [toys]", "categories: [tools]", r"steps\[0\].categories: \['tools'\] is not in"),
        ("categories: [toys]", "exceptCategories: [x]", r"exceptCategories: .* there are: toys"),
        (
            "categories: [toys]",
            "exceptSeen: [{name: mood, value: x, confidence: 1}]",
            r"exceptSeen\[0\].name: 'mood' is none of category, colour",
        ),
        ("categories: [toys]", "exceptSeen: [{name: style, confidence: 1}]", r"exceptSeen\[0\].value"),
        ("categories: [toys]", "exceptSeen: [{name: style, value: x}]", r"exceptSeen\[0\].confidence"),
        ("words: [toy]", "words: []", r"vocabulary.categories\[0\].words"),
    ],
)
def test_bad_conditions_are_refused(old: str, new: str, words: str) -> None:
    """An exception for a category that nobody can claim would never hold, and nobody would know."""
    with pytest.raises(ValueError, match=words):
        in_force.load(TEXT.replace(old, new), PACKS)
