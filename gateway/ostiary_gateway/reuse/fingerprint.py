"""Whether two checks are the same work: everything that a pod is sent, and everything that would look. Pure.

A fingerprint is keyed by tenant: no tenant's can be computed for, or found by, another.
"""

import hashlib
import hmac
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ostiary.v1.moderation_pb2 import CheckRequest
from ostiary.v1.observation_pb2 import BundleInfo, DetectorInfo, Observations

# It names the attempt and not the work: pods do not read it, and no two attempts would be the same with it.
_LEFT_OUT = CheckRequest.IDEMPOTENCY_KEY_FIELD_NUMBER
_FIXED = {1: 8, 5: 4}  # wire type → bytes
_VARINT, _DELIMITED = 0, 2


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


def fingerprint(secret: bytes, tenant: str, request: bytes, looker: Looker) -> bytes:
    """The fingerprint of a well-formed serialised CheckRequest, 32 bytes.

    Args:
        secret: known to nobody else.
        tenant: whose request it is.
        request: as the pod is sent it.
        looker: what would look.
    """
    tenants_own = hmac.digest(secret, tenant.encode(), "sha256")
    keyed = hmac.new(tenants_own, looker.digest(), hashlib.sha256)
    for part in _sent(request):
        keyed.update(part)
    return keyed.digest()


def _particulars(detector: DetectorInfo) -> bytes:
    """A detector without how its last run went, framed."""
    policies = sorted(detector.policies)
    kept = DetectorInfo(name=detector.name, version=detector.version, policies=policies)
    written = kept.SerializeToString(deterministic=True)
    return len(written).to_bytes(8, "big") + written


def _sent(request: bytes) -> Iterator[memoryview]:
    """The fields of the request as they stand there, but for the one that is left out; nothing is copied."""
    whole, start = memoryview(request), 0
    while start < len(request):
        tag, at = _varint(request, start)
        end = _end(request, at, tag & 7)
        if tag >> 3 != _LEFT_OUT:
            yield whole[start:end]
        start = end


def _end(request: bytes, at: int, wire_type: int) -> int:
    if wire_type == _DELIMITED:
        length, at = _varint(request, at)
        return at + length
    if wire_type == _VARINT:
        return _varint(request, at)[1]
    # Groups do not occur in proto3; a request with one is kept whole.
    return at + _FIXED[wire_type] if wire_type in _FIXED else len(request)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """The number at a place, and the place behind it."""
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if not byte & 0x80:
            return value, at
        shift += 7
