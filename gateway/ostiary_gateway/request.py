"""What a well-formed check looks like. Pure.

The caller is told which field is wrong and what to do about it. Whether an image can be decoded is not asked
here: that is an answer (HOLD), not an error.
"""

import re
from collections.abc import Iterator

from google.protobuf.message import DecodeError

from ostiary.v1.image_pb2 import Image
from ostiary.v1.listing_pb2 import Listing
from ostiary.v1.moderation_pb2 import CheckRequest, CheckStreamHeader
from ostiary.wire.errors import FieldViolation, OstiaryError, Reason, invalid_field

MIB = 1024 * 1024
MAX_REQUEST_BYTES = 4 * MIB
MAX_IMAGES = 8
MAX_IMAGE_BYTES = 25_000_000
MAX_NAME = 256
_KEY = re.compile(r"[ -~]{0,128}")
_TERRITORY = re.compile(r"([A-Z]{2})?")
_LANGUAGE = re.compile(r"((en|zh)(-[A-Za-z0-9]{1,8})*)?")
_TEXT_LIMITS = {
    "listing_id": MAX_NAME,
    "title": 1_000,
    "description": 20_000,
    "category": MAX_NAME,
    "seller": MAX_NAME,
    "claimed_brand": MAX_NAME,
}


def parse_check(raw: bytes) -> CheckRequest:
    """The request in `raw`, whose fields keep to the documented limits.

    Raises:
        OstiaryError: TOO_LARGE above 4 MiB, INVALID_FIELD where it is no CheckRequest or breaks a limit.
    """
    if len(raw) > MAX_REQUEST_BYTES:
        raise OstiaryError(
            Reason.TOO_LARGE,
            f"The request has {len(raw):,} bytes; Check takes at most {MAX_REQUEST_BYTES:,}: use CheckStream",
        )
    try:
        request = CheckRequest.FromString(raw)
    except DecodeError as error:
        raise invalid_field("request", "send a serialised ostiary.v1.CheckRequest") from error
    _refuse(_violations(request))
    return request


def validate_header(header: CheckStreamHeader) -> None:
    """Check a stream's header against the same limits; the images' data are yet to come.

    Raises:
        OstiaryError: INVALID_FIELD.
    """
    violations = list(_violations(header.request, prefix="header.request."))
    for index, image in enumerate(header.request.images):
        if image.data:
            field = f"header.request.images[{index}].data"
            violations.append(FieldViolation(field, "leave it empty; the bytes follow in chunks"))
    if len(header.sizes) != len(header.request.images):
        violations.append(
            FieldViolation("header.sizes", "give the size in bytes of each image, in their order")
        )
    if any(size < 0 for size in header.sizes):
        violations.append(FieldViolation("header.sizes", "sizes are in bytes, 0 or more"))
    _refuse(violations)


def _refuse(violations: Iterator[FieldViolation] | list[FieldViolation]) -> None:
    found = list(violations)
    if not found:
        return
    if len(found) == 1:
        raise invalid_field(found[0].field, found[0].description)
    words = "; ".join(f"{violation.field}: {violation.description}" for violation in found)
    raise OstiaryError(Reason.INVALID_FIELD, f"{len(found)} fields are invalid: {words}", violations=found)


def _violations(request: CheckRequest, prefix: str = "") -> Iterator[FieldViolation]:
    if not _KEY.fullmatch(request.idempotency_key):
        yield FieldViolation(f"{prefix}idempotency_key", "at most 128 printable ASCII characters, or empty")
    if not 1 <= len(request.images) <= MAX_IMAGES:
        count = len(request.images)
        yield FieldViolation(f"{prefix}images", f"one to {MAX_IMAGES} images, not {count}; split the listing")
    for index, image in enumerate(request.images[:MAX_IMAGES]):
        yield from _image_violations(image, f"{prefix}images[{index}].")
    yield from _listing_violations(request.listing, f"{prefix}listing.")
    wants = request.wants
    if request.HasField("wants") and not (wants.flags or wants.description or wants.attributes):
        yield FieldViolation(
            f"{prefix}wants", "ask for flags, description or attributes, or leave it out for all"
        )


def _image_violations(image: Image, prefix: str) -> Iterator[FieldViolation]:
    if image.uri:
        yield FieldViolation(f"{prefix}uri", "images by reference are not served; send the bytes in data")
    if len(image.name) > MAX_NAME:
        yield FieldViolation(f"{prefix}name", f"at most {MAX_NAME} characters, not {len(image.name)}")


def _listing_violations(listing: Listing, prefix: str) -> Iterator[FieldViolation]:
    for field, limit in _TEXT_LIMITS.items():
        length = len(getattr(listing, field))
        if length > limit:
            yield FieldViolation(
                f"{prefix}{field}", f"at most {limit:,} characters, not {length:,}; shorten it"
            )
    if not _TERRITORY.fullmatch(listing.territory):
        yield FieldViolation(f"{prefix}territory", "two capital letters (ISO 3166-1 alpha-2), such as DE")
    if not _LANGUAGE.fullmatch(listing.language):
        yield FieldViolation(f"{prefix}language", "en or zh, the languages of descriptions")
