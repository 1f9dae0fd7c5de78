"""How many recorded decisions a second another policy judges."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from pathlib import Path

from bench.record.decisions import words
from ostiary.v1.decision_pb2 import Receipt
from ostiary.v1.image_pb2 import Box, CanonicalImage, Region
from ostiary.v1.listing_pb2 import Listing
from ostiary.v1.moderation_pb2 import CheckResponse
from ostiary.v1.observation_pb2 import (
    Attribute,
    BundleInfo,
    CalibrationPoint,
    DetectorInfo,
    Observations,
    OcrSpan,
    PolicyScore,
)
from ostiary_gateway.cli.replay_run import PolicyFiles
from ostiary_gateway.policy.decide import Subject, decide
from ostiary_gateway.policy.in_force import PolicyInForce
from ostiary_gateway.recorder import NewDecision

_NOW = datetime(2026, 11, 1, tzinfo=UTC)
_PRECISIONS = (0.9, 0.95, 0.97, 0.99)


def observed(policy: PolicyInForce, number: int) -> NewDecision:
    """A decision by the policy on what a bundle of eight questions and three detectors saw."""
    rng = random.Random(number)
    listing = Listing(
        title=" ".join(rng.choices(words(), k=6)),
        description=" ".join(rng.choices(words(), k=14)),
        category=rng.choice(("home", "apparel", "swimwear")),
        seller=f"seller-{rng.randrange(500)}",
    )
    seen = _seen(policy, rng)
    made = decide(Subject(listing, 1, seen, _NOW), policy)
    receipt = Receipt(policy=policy.label, policy_sha256=policy.sha256, bundle=seen.bundle)
    receipt.decided_at.FromDatetime(_NOW)
    return NewDecision(
        check_id=f"check-{number}",
        tenant="demo",
        caller="spiffe://bench.ostiary.local/tenant/demo/role/pipeline",
        idempotency_key="",
        request_sha256=bytes(32),
        listing=listing,
        response=CheckResponse(
            check_id=f"check-{number}",
            verdict=made.verdict,
            findings=made.findings,
            policies=made.policies,
            hold_reasons=made.hold_reasons,
            images=seen.images,
            receipt=receipt,
        ),
        observations=seen,
        trace_id="",
    )


def _seen(policy: PolicyInForce, rng: random.Random) -> Observations:
    rules = policy.message.policies
    asked = [(rule.policy, label.label) for rule in rules for label in rule.labels][:8]
    return Observations(
        images=[CanonicalImage(sha256=bytes(32), raw_sha256=bytes(32), width=800, height=800)],
        scores=[
            PolicyScore(policy=policy, label=label, question=f"{policy}.{label}", probability=_score(rng))
            for policy, label in asked
        ],
        calibration=[
            CalibrationPoint(
                policy=policy,
                label=label,
                question=f"{policy}.{label}",
                precision=precision,
                threshold=0.5 + precision / 3,
            )
            for policy, label in asked
            for precision in _PRECISIONS
        ],
        ocr=[
            OcrSpan(
                text=" ".join(rng.choices(words(), k=3)),
                confidence=0.9,
                region=Region(box=Box(x=10, y=40 * line, width=200, height=30)),
            )
            for line in range(2)
        ],
        attributes=[Attribute(name="colour", value="blue", confidence=0.9)],
        bundle=BundleInfo(name="bench", version="1", digest=b"b" * 32),
        detectors=[DetectorInfo(name=name, completed=True) for name in ("ocr", "barcode", "hashes")],
        capabilities=[rule.policy for rule in rules],
    )


def _score(rng: random.Random) -> float:
    """Mostly next to nothing, now and then close to where steps begin."""
    return rng.uniform(0.75, 0.85) if rng.random() < 0.02 else rng.random() / 5


def candidate(policy: Path, folder: Path) -> Path:
    """The same policy, less strict with what the model answers: some verdicts flip."""
    text = policy.read_text(encoding="utf-8")
    path = folder / "candidate.yaml"
    path.write_text(text.replace("targetPrecision: 0.97", "targetPrecision: 0.9"), encoding="utf-8")
    return path


def policy_of(path: Path) -> PolicyInForce:
    """As a gateway has it in force."""
    return PolicyFiles(path).load()
