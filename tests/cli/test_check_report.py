"""What people are told that a finding rests on."""

import pytest

from ostiary.cli.check_report import evidence, where
from ostiary.client.evidence import finding
from ostiary.v1.decision_pb2 import ACTION_REVIEW, Contradiction, Evidence, Finding
from ostiary.v1.observation_pb2 import PolicyScore

CLAIM = Contradiction(about="colour", field="title", claimed="Navy", seen="red", confidence=0.99)


@pytest.mark.parametrize(
    ("source", "rests_on", "place", "words"),
    [
        ("vlm", Evidence(contradiction=CLAIM), "against the title", "“Navy” claimed, red seen (0.99)"),
        (
            "nudity",
            Evidence(score=PolicyScore(question="buttocks_exposed", probability=0.75)),
            "in the whole image",
            "nudity: buttocks_exposed, P = 0.750",
        ),
        (
            "vlm",
            Evidence(score=PolicyScore(question="partial", probability=0.75)),
            "in the whole image",
            "model: partial, P = 0.750",
        ),
    ],
    ids=["a claim", "a detector", "the model"],
)
def test_evidence_in_words(source: str, rests_on: Evidence, place: str, words: str) -> None:
    """What looked, what it saw, and what that speaks against."""
    found = finding(Finding(action=ACTION_REVIEW, source=source, evidence=rests_on))
    assert (where(found), evidence(found)) == (place, words)
