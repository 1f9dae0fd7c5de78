"""The shipped policy on prohibited advertising: what it blocks, what a person looks at, and by which law."""

from datetime import UTC, datetime
from importlib.resources import files

import pytest

from gateway import sights
from ostiary.v1.decision_pb2 import Verdict
from ostiary.v1.listing_pb2 import Listing
from ostiary.v1.observation_pb2 import Observations, OcrSpan
from ostiary_gateway.policy import in_force
from ostiary_gateway.policy.decide import Decision, Subject, decide
from ostiary_gateway.rules import pack

POLICY = in_force.load(
    (files("ostiary_gateway") / "defaults/policy.yaml").read_text(encoding="utf-8"), pack.shipped()
)
NOW = datetime(2026, 11, 25, tzinfo=UTC)
ALLOW, REVIEW, BLOCK = Verdict.VERDICT_ALLOW, Verdict.VERDICT_REVIEW, Verdict.VERDICT_BLOCK


def judged(in_image: str = "", title: str = "", territory: str = "") -> Decision:
    seen = sights.clean()
    del seen.scores[:], seen.calibration[:]
    if in_image:
        seen = sights.merged(seen, Observations(ocr=[OcrSpan(text=in_image, region=sights.region())]))
    return decide(Subject(Listing(title=title, territory=territory), 1, seen, NOW), POLICY)


@pytest.mark.parametrize(
    ("in_image", "label", "verdict"),
    [
        ("国家级品质", "absolute_claim", BLOCK),
        ("同级最佳", "absolute_claim", REVIEW),
        ("治疗关节炎", "medical_claim", BLOCK),
        ("改善睡眠", "medical_claim", REVIEW),
        ("Cures arthritis", "medical_claim", BLOCK),
        ("Clinically proven", "medical_claim", REVIEW),
        ("电子烟批发", "prohibited_goods", BLOCK),
        ("Disposable vape", "prohibited_goods", BLOCK),
    ],
)
def test_claims_in_images(in_image: str, label: str, verdict: Verdict.ValueType) -> None:
    """What leaves no doubt is blocked, the rest is for a person; findings have a place and an article."""
    decision = judged(in_image)
    assert decision.verdict == verdict
    assert {finding.label for finding in decision.findings} == {label}
    assert all(finding.regions and finding.evidence.rule.article for finding in decision.findings)


@pytest.mark.parametrize(
    "in_image", ["BEST DAD EVER", "No. 1", "第一步", "天下第一", "FIRST CLASS", "S M L XL"]
)
def test_prints_are_allowed(in_image: str) -> None:
    """What a garment prints is part of the product."""
    decision = judged(in_image)
    assert (decision.verdict, decision.findings) == (ALLOW, ())


@pytest.mark.parametrize(
    ("title", "territory", "verdict"),
    [
        ("全网最低价 T恤", "CN", BLOCK),
        ("全网最低价 T恤", "US", ALLOW),
        ("全网最低价 T恤", "", BLOCK),
        ("FDA approved cream", "US", REVIEW),
        ("FDA approved cream", "DE", ALLOW),
        ("Disposable vape", "DE", BLOCK),
        ("Disposable vape", "BR", ALLOW),
    ],
)
def test_law_by_territory(title: str, territory: str, verdict: Verdict.ValueType) -> None:
    """The law of the listing's territory holds, and all of them where none is named."""
    assert judged(title=title, territory=territory).verdict == verdict
