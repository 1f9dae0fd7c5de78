"""An answer as dataclasses."""

from dataclasses import FrozenInstanceError
from datetime import UTC, datetime

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from ostiary.client import Action, CheckResult, Reuse, Verdict
from ostiary.client.evidence import Barcode, Brand, Contradiction, KnownImage, ModelScore, Region, Rule
from ostiary.v1 import decision_pb2, image_pb2, moderation_pb2, observation_pb2

FULL = moderation_pb2.CheckResponse(
    check_id="0190",
    verdict=decision_pb2.VERDICT_BLOCK,
    findings=[
        decision_pb2.Finding(
            policy="prohibited_ads",
            label="contact_details",
            score=1,
            threshold=0.5,
            action=decision_pb2.ACTION_BLOCK,
            regions=[
                image_pb2.Region(image_index=1, box=image_pb2.Box(x=1, y=2, width=3, height=4), frame=5)
            ],
            source="ocr",
            evidence=decision_pb2.Evidence(
                rule=decision_pb2.RuleEvidence(rule="contact.wechat", pack="diversion@1", matched_text="a"),
                barcode=observation_pb2.Barcode(format="QRCode", text="https://x.example", payload=b"p"),
                brand=observation_pb2.BrandCandidate(brand="b", reference_id="r", score=0.5, kind="word"),
                score=observation_pb2.PolicyScore(question="q", image_index=1, probability=0.25),
                known_image=decision_pb2.HashMatch(list="fakes@7", hash=b"h", distance=3, image_index=1),
                allowed_by=decision_pb2.HashMatch(
                    list="appeals@1", seller="s7", note="n", expires_at=Timestamp(seconds=1_800_000_000)
                ),
                contradiction=decision_pb2.Contradiction(
                    about="colour", field="title", claimed="Navy", seen="red", confidence=0.75
                ),
            ),
        ),
        decision_pb2.Finding(policy="nudity", label="partial", action=decision_pb2.ACTION_NOTE),
    ],
    description=observation_pb2.Description(text="A cup.", language="en"),
    attributes=[observation_pb2.Attribute(name="colour", value="red", confidence=0.5)],
    policies=[
        decision_pb2.PolicyResult(
            policy="nudity", state=observation_pb2.POLICY_STATE_UNSUPPORTED, optional=True
        )
    ],
    hold_reasons=[decision_pb2.HoldReason(code="unreadable", image_index=0, detail="stops early")],
    receipt=decision_pb2.Receipt(
        bundle=observation_pb2.BundleInfo(name="mini", version="1", digest=b"d", weights_digest=b"w"),
        policy="default@1",
        log_index=7,
        decided_at=Timestamp(seconds=1_700_000_000),
        reused=decision_pb2.Reuse(check_id="018f", looked_at=Timestamp(seconds=1_600_000_000)),
        cheap_tier=True,
    ),
    timings=[observation_pb2.StageTiming(stage="decode", duration=Duration(nanos=250_000_000))],
)


def test_everything_is_read() -> None:
    """Findings with all kinds of evidence, description, attributes, policies, reasons, receipt, timings."""
    result = CheckResult.from_proto(FULL)
    finding = result.findings[0]
    assert result.verdict is Verdict.BLOCK
    assert finding.action is Action.BLOCK
    assert finding.regions == (Region(1, 1, 2, 3, 4, 5),)
    assert finding.rule == Rule("contact.wechat", "diversion@1", "", "", "a", "")
    assert finding.barcode == Barcode("QRCode", "https://x.example", b"p")
    assert finding.brand == Brand("b", "r", 0.5, "word")
    assert finding.model_score == ModelScore("q", 1, 0.25)
    assert finding.known_image == KnownImage("fakes@7", b"h", 3, 1, 0, "", "", "", None)
    until = datetime(2027, 1, 15, 8, tzinfo=UTC)
    assert finding.allowed_by == KnownImage("appeals@1", b"", 0, 0, 0, "", "n", "s7", until)
    assert finding.contradiction == Contradiction("colour", "title", "Navy", "red", 0.75)
    assert result.description is not None
    assert result.description.text == "A cup."
    assert result.attributes[0].value == "red"
    assert (result.policies[0].state, result.policies[0].optional) == ("UNSUPPORTED", True)
    assert result.hold_reasons[0].detail == "stops early"
    assert result.receipt.bundle is not None
    assert result.receipt.bundle.name == "mini"
    assert result.receipt.decided_at.isoformat() == "2023-11-14T22:13:20+00:00"
    assert result.receipt.reused == Reuse("018f", datetime(2020, 9, 13, 12, 26, 40, tzinfo=UTC))
    assert result.receipt.cheap_tier
    assert result.timings == {"decode": 0.25}


def test_what_is_absent_is_none() -> None:
    """Evidence, description and bundle that are not there are None, not empty."""
    finding = CheckResult.from_proto(FULL).findings[1]
    assert (finding.rule, finding.barcode, finding.brand, finding.model_score) == (None, None, None, None)
    assert (finding.known_image, finding.allowed_by, finding.contradiction) == (None, None, None)
    bare = CheckResult.from_proto(moderation_pb2.CheckResponse(verdict=decision_pb2.VERDICT_HOLD))
    assert (bare.description, bare.receipt.bundle, bare.findings) == (None, None, ())


def test_frozen() -> None:
    """A result cannot be changed by accident."""
    with pytest.raises(FrozenInstanceError):
        CheckResult.from_proto(FULL).verdict = Verdict.ALLOW  # type: ignore[misc]


def test_unset_verdict_is_refused() -> None:
    """An answer without a verdict is an error."""
    with pytest.raises(ValueError, match="UNSPECIFIED"):
        CheckResult.from_proto(moderation_pb2.CheckResponse())
