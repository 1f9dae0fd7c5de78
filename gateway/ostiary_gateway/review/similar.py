"""Which cases are of much the same picture, and may be decided anew without a person. Pure."""

from ostiary.v1.record_pb2 import NEXT_REVIEWER_UNSPECIFIED, DecisionRecord
from ostiary_gateway.hashes.matching import LEAST_QUALITY
from ostiary_gateway.review.standing import Standing, first_state

_NEAR = 31  # bits: what PDQ's authors call the same picture


def similar(one: DecisionRecord, other: DecisionRecord) -> bool:
    """Whether a picture of the one is much like a picture of the other."""
    raw = {image.sha256 for image in one.observations.images if image.sha256}
    if any(image.sha256 in raw for image in other.observations.images):
        return True
    return any((left ^ right).bit_count() <= _NEAR for left in _pictures(one) for right in _pictures(other))


def untouched(standing: Standing) -> bool:
    """Whether no person has had a hand in the case."""
    return (
        not standing.claimed_by
        and standing.next == NEXT_REVIEWER_UNSPECIFIED
        and standing.state == first_state(standing.verdict)
    )


def _pictures(record: DecisionRecord) -> list[int]:
    return [
        int.from_bytes(each.hash, "big") for each in record.observations.pdq if each.quality >= LEAST_QUALITY
    ]
