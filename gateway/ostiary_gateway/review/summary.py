"""What a case is found by, and one line of it, out of its record. Pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from typing import NamedTuple

from ostiary.v1.audit_pb2 import CaseSummary
from ostiary.v1.decision_pb2 import Finding, Verdict
from ostiary.v1.listing_pb2 import Listing
from ostiary.v1.moderation_pb2 import CheckResponse
from ostiary.v1.observation_pb2 import Observations
from ostiary.v1.record_pb2 import DecisionRecord
from ostiary_gateway.review.standing import Standing


class Traits(NamedTuple):
    """What a case is found by: labels are `policy/label`, the gravest first; brands are ids in registries."""

    seller: str
    verdict: Verdict.ValueType
    policy: str
    bundle_digest: bytes
    score: float
    decided_us: int
    labels: tuple[str, ...]
    brands: tuple[str, ...]
    text: str


def traits(
    listing: Listing, response: CheckResponse, observations: Observations | None, recorded_us: int
) -> Traits:
    """The traits of a decision; `recorded_us` stands in where it does not say when it was made."""
    receipt, found = response.receipt, response.findings
    decided = receipt.HasField("decided_at")
    return Traits(
        seller=listing.seller,
        verdict=response.verdict,
        policy=receipt.policy,
        bundle_digest=receipt.bundle.digest,
        score=highest_score(response) if found else 0.0,
        decided_us=receipt.decided_at.ToMicroseconds() if decided else recorded_us,
        labels=tuple(labels(response)) if found else (),
        brands=tuple(_brands(found)) if found else (),
        text=_text(listing, observations),
    )


def traits_of(record: DecisionRecord) -> Traits:
    """The traits of a decision on record."""
    observations = record.observations if record.HasField("observations") else None
    return traits(record.listing, record.response, observations, record.recorded_at.ToMicroseconds())


def labels(response: CheckResponse) -> list[str]:
    """`policy/label` of every finding, once each: those that ask for most first, then by score."""
    gravest = sorted(response.findings, key=lambda finding: (-finding.action, -finding.score))
    return list(dict.fromkeys(f"{finding.policy}/{finding.label}" for finding in gravest))


def highest_score(response: CheckResponse) -> float:
    """Of its findings; 0 without one."""
    return max((finding.score for finding in response.findings), default=0.0)


def summary(record: DecisionRecord, standing: Standing, now_us: int) -> CaseSummary:
    """One line of a case, as it stands at a time: microseconds since 1970."""
    found = traits_of(record)
    line = CaseSummary(
        check_id=record.check_id,
        verdict=standing.verdict,
        labels=found.labels,
        seller=found.seller,
        state=standing.state_at(now_us),
        claimed_by=standing.holder(now_us),
        score=found.score,
    )
    line.decided_at.FromMicroseconds(found.decided_us)
    return line


def folded(text: str) -> str:
    """Text as it is compared: compatibility forms and cases are the same."""
    return text.lower() if text.isascii() else unicodedata.normalize("NFKC", text).casefold()


def _brands(findings: Iterable[Finding]) -> dict[str, None]:
    return dict.fromkeys(finding.evidence.brand.brand for finding in findings if finding.evidence.brand.brand)


def _text(listing: Listing, seen: Observations | None) -> str:
    """What the listing says and what was read in its images, a line each."""
    parts = [listing.title, listing.description, listing.claimed_brand]
    if seen is not None:
        parts += [span.text for span in seen.ocr]
        parts += [code.text for code in seen.barcodes]
    # SQLite compares texts up to the first NUL.
    return folded("\n".join(filter(None, parts)).replace("\0", " "))
