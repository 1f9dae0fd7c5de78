"""Findings and the evidence for them, as frozen dataclasses."""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from ostiary.v1 import decision_pb2, image_pb2


class Action(StrEnum):
    """What a finding asks for; NOTE does not change the verdict."""

    NOTE = "NOTE"
    REVIEW = "REVIEW"
    BLOCK = "BLOCK"


@dataclass(frozen=True)
class Region:
    """A rectangle in canonical pixels from the top left corner; `image_index` and `frame` count from 0."""

    image_index: int
    x: int
    y: int
    width: int
    height: int
    frame: int


@dataclass(frozen=True)
class Rule:
    """A rule that matched text; `field` is `image`, `title`, `description` or `barcode`."""

    rule: str
    pack: str
    jurisdiction: str
    article: str
    matched_text: str
    field: str


@dataclass(frozen=True)
class Barcode:
    """A decoded barcode; `text` is empty where the payload is not text."""

    format: str
    text: str
    payload: bytes


@dataclass(frozen=True)
class Brand:
    """A brand mark that was compared with; `score` from 0 to 1, `kind` is `word` or `figurative`."""

    brand: str
    reference_id: str
    score: float
    kind: str


@dataclass(frozen=True)
class ModelScore:
    """The model's calibrated answer to one yes/no question; `probability` of yes, from 0 to 1."""

    question: str
    image_index: int
    probability: float


@dataclass(frozen=True)
class KnownImage:
    """An entry of a hash list that an image matched.

    `list` is name and version, `hash` the entry's (32 bytes), `distance` the bits the image's differs in.
    `seller` is whom it holds for, empty for all; `expires_at` until when, in UTC, None for good.
    """

    list: str
    hash: bytes
    distance: int
    image_index: int
    frame: int
    source: str
    note: str
    seller: str
    expires_at: datetime | None


@dataclass(frozen=True)
class Contradiction:
    """A claim of the listing that what was seen speaks against.

    `about` is `category`, `colour` or `brand`; `field` is where `claimed` stands in the listing; `seen` is
    what was seen instead, with a `confidence` from 0 to 1.
    """

    about: str
    field: str
    claimed: str
    seen: str
    confidence: float


@dataclass(frozen=True)
class Finding:
    """One thing found. `score` and `threshold` go from 0 to 1; evidence that is exact scores 1.

    What it rests on stands in those of `rule`, `barcode`, `brand`, `model_score`, `known_image` and
    `contradiction` that are not None. `allowed_by` is the entry of an allow-list that made a note of it, if
    one did.
    `internal_reason` is for compliance teams and never for sellers; `seller_reason` is.
    """

    policy: str
    label: str
    score: float
    threshold: float
    action: Action
    regions: tuple[Region, ...]
    source: str
    rule: Rule | None
    barcode: Barcode | None
    brand: Brand | None
    model_score: ModelScore | None
    internal_reason: str
    seller_reason: str
    known_image: KnownImage | None = None
    allowed_by: KnownImage | None = None
    contradiction: Contradiction | None = None


def finding(message: decision_pb2.Finding) -> Finding:
    """Reads the message."""
    evidence = message.evidence
    return Finding(
        policy=message.policy,
        label=message.label,
        score=message.score,
        threshold=message.threshold,
        action=Action(decision_pb2.Action.Name(message.action).removeprefix("ACTION_")),
        regions=tuple(_region(region) for region in message.regions),
        source=message.source,
        rule=_rule(evidence),
        barcode=_barcode(evidence),
        brand=_brand(evidence),
        model_score=_model_score(evidence),
        internal_reason=message.internal_reason,
        seller_reason=message.seller_reason,
        known_image=_known_image(evidence.known_image) if evidence.HasField("known_image") else None,
        allowed_by=_known_image(evidence.allowed_by) if evidence.HasField("allowed_by") else None,
        contradiction=_contradiction(evidence),
    )


def _region(message: image_pb2.Region) -> Region:
    box = message.box
    return Region(message.image_index, box.x, box.y, box.width, box.height, message.frame)


def _rule(evidence: decision_pb2.Evidence) -> Rule | None:
    rule = evidence.rule
    if not evidence.HasField("rule"):
        return None
    return Rule(rule.rule, rule.pack, rule.jurisdiction, rule.article, rule.matched_text, rule.field)


def _barcode(evidence: decision_pb2.Evidence) -> Barcode | None:
    barcode = evidence.barcode
    return Barcode(barcode.format, barcode.text, barcode.payload) if evidence.HasField("barcode") else None


def _brand(evidence: decision_pb2.Evidence) -> Brand | None:
    brand = evidence.brand
    if not evidence.HasField("brand"):
        return None
    return Brand(brand.brand, brand.reference_id, brand.score, brand.kind)


def _model_score(evidence: decision_pb2.Evidence) -> ModelScore | None:
    score = evidence.score
    if not evidence.HasField("score"):
        return None
    return ModelScore(score.question, score.image_index, score.probability)


def _contradiction(evidence: decision_pb2.Evidence) -> Contradiction | None:
    found = evidence.contradiction
    if not evidence.HasField("contradiction"):
        return None
    return Contradiction(found.about, found.field, found.claimed, found.seen, found.confidence)


def _known_image(match: decision_pb2.HashMatch) -> KnownImage:
    return KnownImage(
        list=match.list,
        hash=match.hash,
        distance=match.distance,
        image_index=match.image_index,
        frame=match.frame,
        source=match.source,
        note=match.note,
        seller=match.seller,
        expires_at=match.expires_at.ToDatetime(UTC) if match.HasField("expires_at") else None,
    )
