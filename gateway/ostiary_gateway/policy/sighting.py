"""Everything that could become a finding: what rules matched, and what the model answered."""

from collections.abc import Sequence
from dataclasses import dataclass

from ostiary.v1.decision_pb2 import Evidence
from ostiary.v1.image_pb2 import Region
from ostiary.v1.listing_pb2 import Listing
from ostiary.v1.observation_pb2 import Observations, PolicyScore
from ostiary_gateway.policy.words import seller_reason
from ostiary_gateway.rules.document import of_listing, of_spans
from ostiary_gateway.rules.matcher import Match, match_barcodes, match_documents
from ostiary_gateway.rules.pack import RulePack

_MODEL = "vlm"


@dataclass(frozen=True)
class Sighting:
    """One thing seen, before the policy says what it means.

    Attributes:
        policy: policy it speaks for.
        label: label within the policy.
        score: 0 to 1.
        source: `ocr`, `text`, `barcode`, `vlm`, or the name of the detector that scored, such as `nudity`.
        question: what was asked: the bundle's question, the part that a detector saw, or the claim that was
            compared; empty where a rule matched.
        evidence: why.
        regions: where; empty where the whole image or listing is meant.
        internal: what was seen, in words for compliance teams.
        seller: what to change, in words for sellers.
    """

    policy: str
    label: str
    score: float
    source: str
    question: str
    evidence: Evidence
    regions: tuple[Region, ...]
    internal: str
    seller: str


def from_rules(
    packs: Sequence[RulePack], listing: Listing, observations: Observations | None, territory: str
) -> list[Sighting]:
    """What the rules of the packs that hold in `territory` find in texts and barcodes."""
    holding = [pack for pack in packs if pack.holds_in(territory)]
    documents = of_listing(listing) + (of_spans(observations.ocr) if observations else [])
    barcodes = observations.barcodes if observations else []
    matches = match_documents(holding, documents) + match_barcodes(holding, barcodes)
    return [_from_match(match) for match in matches]


def from_scores(scores: Sequence[PolicyScore]) -> list[Sighting]:
    """One sighting per answer of the model or of a detector, however unlikely it calls it."""
    return [_from_score(score) for score in scores]


def _from_match(match: Match) -> Sighting:
    rule, evidence = match.rule, match.evidence
    article = f", {evidence.article}" if evidence.article else ""
    where = f"image {match.regions[0].image_index}" if match.regions else evidence.field
    return Sighting(
        policy=rule.policy,
        label=rule.label,
        score=rule.score,
        source=match.source,
        question="",
        evidence=Evidence(rule=evidence, barcode=match.barcode),
        regions=match.regions,
        internal=f"rule {rule.id} of {evidence.pack}{article} matched {evidence.matched_text!r} ({where})",
        seller=rule.seller_reason,
    )


def _from_score(score: PolicyScore) -> Sighting:
    source = score.source or _MODEL
    asked = f"question {score.question}: P(yes)" if source == _MODEL else f"{source} saw {score.question}: P"
    return Sighting(
        policy=score.policy,
        label=score.label,
        score=score.probability,
        source=source,
        question=score.question,
        evidence=Evidence(score=score),
        regions=(score.region,) if score.HasField("region") else (),
        internal=f"{asked} {score.probability:.4f} on image {score.image_index} (margin {score.margin:.2f})",
        seller=seller_reason(score.policy, score.label),
    )
