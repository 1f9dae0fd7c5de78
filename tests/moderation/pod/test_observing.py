"""What a pod says of itself and of what its detectors saw, in the terms of the contract."""

from ostiary.v1.image_pb2 import Region
from ostiary.v1.observation_pb2 import Attribute, DetectorInfo, Observations, PolicyScore
from ostiary_moderation.bundle import Bundle
from ostiary_moderation.declaration import Declaration
from ostiary_moderation.detector import Detections
from ostiary_moderation.detectors.runner import DetectorReport
from ostiary_moderation.observing import observations


def score(question: str, probability: float, image: int = 0, frame: int = 0) -> PolicyScore:
    return PolicyScore(
        policy="nudity",
        label="partial",
        question=question,
        image_index=image,
        probability=probability,
        source="nudity",
        region=Region(image_index=image, frame=frame),
    )


def test_of_the_frames_of_an_animation_the_highest_score_counts() -> None:
    """One for each thing seen and image, with the frame that it was seen in."""
    seen = (
        score("a", 0.3),
        score("a", 0.8, frame=1),
        score("a", 0.5, frame=2),
        score("b", 0.4),
        score("a", 0.2, 1),
    )
    report = DetectorReport(Detections(scores=seen), DetectorInfo(name="nudity"), 0.0)
    kept = observations([], None, [report]).scores
    assert [(each.question, each.image_index, each.probability) for each in kept] == [
        ("a", 0, 0.8),
        ("b", 0, 0.4),
        ("a", 1, 0.2),
    ]
    assert kept[0].region.frame == 1


def test_a_pod_says_what_it_chooses_attributes_from() -> None:
    """Where they were wanted; attributes that the bundle cannot see have nothing to choose from."""
    declaration = Declaration.of(Bundle.load("mini"), [])
    wanted = Observations(attributes=[Attribute(name="colour", value="red")])
    declaration.declare(wanted, flags=True)
    choices = {each.name: list(each.values) for each in wanted.choices}
    assert set(choices) == {"category", "colour", "pattern", "audience"}
    assert {"shoes", "hat", "unknown"} <= set(choices["category"])
    unwanted = Observations()
    declaration.declare(unwanted, flags=True)
    assert not unwanted.choices
