"""Whether two checks are the same work: everything that a pod is sent, and everything that would look. Pure.

A fingerprint is keyed by tenant: no tenant's can be computed for, or found by, another.
"""

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass

from ostiary.v1.observation_pb2 import BundleInfo, DetectorInfo, Observations
from ostiary_gateway.received import ReceivedCheck


@dataclass(frozen=True)
class Looker:
    """What looks, as digests of 32 bytes: bundle, detectors with their versions, gallery."""

    bundle: bytes
    detectors: bytes
    gallery: bytes

    @classmethod
    def of(cls, bundle: BundleInfo, detectors: Iterable[DetectorInfo], gallery: bytes) -> "Looker":
        """What looks, as a pod has it."""
        return cls(
            hashlib.sha256(bundle.SerializeToString(deterministic=True)).digest(),
            hashlib.sha256(b"".join(sorted(map(_particulars, detectors)))).digest(),
            hashlib.sha256(gallery).digest(),
        )

    def made(self, seen: Observations) -> bool:
        """Whether observations are of this looker; where flags were not wanted, no detector looked."""
        other = Looker.of(seen.bundle, seen.detectors, seen.gallery_digest)
        detectors = not seen.detectors or other.detectors == self.detectors
        return detectors and (other.bundle, other.gallery) == (self.bundle, self.gallery)

    def digest(self) -> bytes:
        """All of it in one, 32 bytes."""
        return hashlib.sha256(self.bundle + self.detectors + self.gallery).digest()


def fingerprint(secret: bytes, tenant: str, check: ReceivedCheck, looker: Looker) -> bytes:
    """The fingerprint of a check, 32 bytes.

    Args:
        secret: known to nobody else.
        tenant: whose check it is.
        check: what a pod would be sent. Its idempotency key makes no difference: it names the attempt and
            not the work, pods do not read it, and no two attempts would be the same with it.
        looker: what would look.
    """
    tenants_own = hmac.digest(secret, tenant.encode(), "sha256")
    # Of a length that is always the same, but for the last.
    parts = (looker.digest(), len(check.image_sha256s).to_bytes(8, "big"), *check.image_sha256s)
    return hmac.digest(
        tenants_own, b"".join((*parts, check.work().SerializeToString(deterministic=True))), "sha256"
    )


def _particulars(detector: DetectorInfo) -> bytes:
    """A detector without how its last run went, framed."""
    policies = sorted(detector.policies)
    kept = DetectorInfo(name=detector.name, version=detector.version, policies=policies)
    written = kept.SerializeToString(deterministic=True)
    return len(written).to_bytes(8, "big") + written
