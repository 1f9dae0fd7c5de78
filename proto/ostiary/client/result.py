"""What a check answers, as frozen dataclasses."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from ostiary.client import evidence
from ostiary.client.evidence import Finding
from ostiary.v1 import image_pb2, moderation_pb2, observation_pb2
from ostiary.v1.decision_pb2 import Receipt as ReceiptMessage
from ostiary.v1.decision_pb2 import Verdict as VerdictValue


class Verdict(StrEnum):
    """The answer to "may this be published?"."""

    ALLOW = "ALLOW"
    REVIEW = "REVIEW"
    BLOCK = "BLOCK"
    HOLD = "HOLD"


@dataclass(frozen=True)
class Description:
    """A description of the product in plain text; `language` is BCP 47."""

    text: str
    language: str


@dataclass(frozen=True)
class Attribute:
    """One structured attribute; `confidence` from 0 to 1, `value` may be `unknown`."""

    name: str
    value: str
    confidence: float


@dataclass(frozen=True)
class HoldReason:
    """Why a check is on HOLD; `image_index` is −1 where the whole check is meant."""

    code: str
    image_index: int
    detail: str


@dataclass(frozen=True)
class PolicyResult:
    """How one policy fared.

    `state` is `JUDGED`, `UNSUPPORTED`, `UNREADABLE`, `UNAVAILABLE`, or `CHEAP_TIER` where it was judged
    without the vision model.
    """

    policy: str
    state: str
    optional: bool


@dataclass(frozen=True)
class CanonicalImage:
    """What is known of one image after canonicalisation; publish the canonical bytes and no others.

    Width and height are pixels. Both hashes are SHA-256, 32 bytes; `sha256` is empty for an unreadable image.
    """

    image_index: int
    raw_sha256: bytes
    sha256: bytes
    media_type: str
    width: int
    height: int
    size_bytes: int
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Bundle:
    """The model bundle that looked, as its pod measured it; digests are SHA-256, 32 bytes."""

    name: str
    version: str
    digest: bytes
    weights_digest: bytes


@dataclass(frozen=True)
class Reuse:
    """The check that a pod looked at, and when it was decided: observations of identical work."""

    check_id: str
    looked_at: datetime


@dataclass(frozen=True)
class Receipt:
    """What proves the decision later: who looked, by which policy, and where it stands in the log.

    `reused`: whose observations were decided on, where no pod looked for this check. `cheap_tier`: a policy
    was judged without the vision model.
    """

    bundle: Bundle | None
    route_version: str
    policy: str
    policy_sha256: bytes
    log_origin: str
    log_index: int
    leaf_hash: bytes
    checkpoint: str
    decided_at: datetime
    reused: Reuse | None = None
    cheap_tier: bool = False


@dataclass(frozen=True)
class CheckResult:
    """The answer to one check. `proto` is the message that it was read from."""

    check_id: str
    verdict: Verdict
    findings: tuple[Finding, ...]
    description: Description | None
    attributes: tuple[Attribute, ...]
    policies: tuple[PolicyResult, ...]
    hold_reasons: tuple[HoldReason, ...]
    images: tuple[CanonicalImage, ...]
    receipt: Receipt
    timings: dict[str, float]
    replayed: bool
    proto: moderation_pb2.CheckResponse = field(repr=False, compare=False)

    @classmethod
    def from_proto(cls, message: moderation_pb2.CheckResponse) -> "CheckResult":
        """Reads the message; timings become seconds by stage.

        Raises:
            ValueError: the verdict is one that this version does not know; never taken for ALLOW.
        """
        return cls(
            check_id=message.check_id,
            verdict=Verdict(VerdictValue.Name(message.verdict).removeprefix("VERDICT_")),
            findings=tuple(evidence.finding(each) for each in message.findings),
            description=_description(message),
            attributes=tuple(
                Attribute(each.name, each.value, each.confidence) for each in message.attributes
            ),
            policies=tuple(
                PolicyResult(each.policy, _state(each.state), each.optional) for each in message.policies
            ),
            hold_reasons=tuple(
                HoldReason(each.code, each.image_index, each.detail) for each in message.hold_reasons
            ),
            images=tuple(canonical_image(each) for each in message.images),
            receipt=_receipt(message.receipt),
            timings={each.stage: each.duration.ToTimedelta().total_seconds() for each in message.timings},
            replayed=message.replayed,
            proto=message,
        )


def canonical_image(message: image_pb2.CanonicalImage) -> CanonicalImage:
    """Reads the message."""
    return CanonicalImage(
        image_index=message.image_index,
        raw_sha256=message.raw_sha256,
        sha256=message.sha256,
        media_type=message.media_type,
        width=message.width,
        height=message.height,
        size_bytes=message.size_bytes,
        notes=tuple(message.notes),
    )


def _description(message: moderation_pb2.CheckResponse) -> Description | None:
    if not message.HasField("description"):
        return None
    return Description(message.description.text, message.description.language)


def _attribute(message: observation_pb2.Attribute) -> Attribute:
    return Attribute(message.name, message.value, message.confidence)


def _state(value: observation_pb2.PolicyState.ValueType) -> str:
    return observation_pb2.PolicyState.Name(value).removeprefix("POLICY_STATE_")


def _receipt(message: ReceiptMessage) -> Receipt:
    bundle = message.bundle
    return Receipt(
        bundle=Bundle(bundle.name, bundle.version, bundle.digest, bundle.weights_digest)
        if message.HasField("bundle")
        else None,
        route_version=message.route_version,
        policy=message.policy,
        policy_sha256=message.policy_sha256,
        log_origin=message.log_origin,
        log_index=message.log_index,
        leaf_hash=message.leaf_hash,
        checkpoint=message.checkpoint,
        decided_at=message.decided_at.ToDatetime(tzinfo=UTC),
        reused=Reuse(message.reused.check_id, message.reused.looked_at.ToDatetime(tzinfo=UTC))
        if message.HasField("reused")
        else None,
        cheap_tier=message.cheap_tier,
    )
