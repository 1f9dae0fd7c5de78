"""Requests: what a caller is told when one is not well-formed."""

import re
import uuid

import pytest

from ostiary.v1.image_pb2 import Image
from ostiary.v1.listing_pb2 import Listing, Wants
from ostiary.v1.moderation_pb2 import CheckRequest, CheckStreamHeader
from ostiary.wire.authorization import Principal
from ostiary.wire.errors import OstiaryError, Reason
from ostiary.wire.identity import SpiffeId
from ostiary_gateway.ids import new_check_id
from ostiary_gateway.request import MAX_REQUEST_BYTES, parse_check, validate_header

PIPELINE = Principal(SpiffeId("a.test", "/tenant/demo/role/pipeline"), "pipeline", "demo")


def request(**fields: object) -> CheckRequest:
    return CheckRequest(**({"images": [Image(data=b"x")]} | fields))  # type: ignore[arg-type]


def refusal(bad: CheckRequest | bytes) -> OstiaryError:
    with pytest.raises(OstiaryError) as caught:
        parse_check(bad if isinstance(bad, bytes) else bad.SerializeToString())
    return caught.value


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        (request(images=[]), "images"),
        (request(images=[Image(data=b"x")] * 9), "images"),
        (request(images=[Image(uri="https://a/b.jpg")]), "images[0].uri"),
        (request(images=[Image(data=b"x"), Image(name="n" * 257)]), "images[1].name"),
        (request(idempotency_key="k" * 129), "idempotency_key"),
        (request(idempotency_key="ключ"), "idempotency_key"),
        (request(idempotency_key="a\nb"), "idempotency_key"),
        (request(listing=Listing(title="t" * 1_001)), "listing.title"),
        (request(listing=Listing(description="t" * 20_001)), "listing.description"),
        (request(listing=Listing(listing_id="t" * 257)), "listing.listing_id"),
        (request(listing=Listing(seller="t" * 257)), "listing.seller"),
        (request(listing=Listing(claimed_brand="t" * 257)), "listing.claimed_brand"),
        (request(listing=Listing(territory="Germany")), "listing.territory"),
        (request(listing=Listing(language="fr")), "listing.language"),
        (request(wants=Wants()), "wants"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_bad_field_is_named(bad: CheckRequest, field: str) -> None:
    """The error names the field and says what to do."""
    error = refusal(bad)
    assert error.reason is Reason.INVALID_FIELD
    [violation] = error.violations
    assert violation.field == field
    assert violation.description


def test_all_bad_fields_are_named_at_once() -> None:
    """One round trip is enough to put a request right."""
    error = refusal(request(images=[Image(uri="u")], listing=Listing(territory="x", language="x")))
    assert [item.field for item in error.violations] == [
        "images[0].uri",
        "listing.territory",
        "listing.language",
    ]


@pytest.mark.parametrize(
    "good",
    [
        request(),
        request(images=[Image()]),
        request(images=[Image(data=b"x")] * 8, idempotency_key="~" * 128),
        request(listing=Listing(title="题" * 1_000, territory="CN", language="zh-Hans-CN")),
        request(wants=Wants(description=True)),
    ],
)
def test_limits_are_inclusive(good: CheckRequest) -> None:
    """What the contract allows is let in; an empty image is for the pod to answer, not an error."""
    assert parse_check(good.SerializeToString()) == good


def test_size() -> None:
    """4 MiB is the most; the error names the way for more."""
    envelope = len(request(images=[Image(data=b"x" * 3_000_000)]).SerializeToString()) - 3_000_000
    most = request(images=[Image(data=b"x" * (MAX_REQUEST_BYTES - envelope))])
    assert parse_check(most.SerializeToString())
    error = refusal(request(images=[Image(data=b"x" * (MAX_REQUEST_BYTES - envelope + 1))]))
    assert error.reason is Reason.TOO_LARGE
    assert "CheckStream" in error.message


def test_bytes_that_are_no_request() -> None:
    """Noise is a caller's fault."""
    assert refusal(b"\xff\xff\xff").reason is Reason.INVALID_FIELD


@pytest.mark.parametrize(
    ("sizes", "data", "field"),
    [
        ([1, 2], b"", "header.sizes"),
        ([-1], b"", "header.sizes"),
        ([1], b"x", "header.request.images[0].data"),
    ],
)
def test_a_bad_header(sizes: list[int], data: bytes, field: str) -> None:
    """A stream declares one size for each image and brings no data yet."""
    header = CheckStreamHeader(request=CheckRequest(images=[Image(data=data)]), sizes=sizes)
    with pytest.raises(OstiaryError) as caught:
        validate_header(header)
    assert caught.value.violations[0].field == field


def test_check_ids_are_version_7_and_sort_by_time() -> None:
    """Identifiers made later in another millisecond are greater."""
    ids = [new_check_id() for _ in range(1_000)]
    assert len(set(ids)) == 1_000
    assert {uuid.UUID(item).version for item in ids} == {7}
    assert {uuid.UUID(item).variant for item in ids} == {uuid.RFC_4122}
    assert all(re.fullmatch(r"[0-9a-f-]{36}", item) for item in ids)
    milliseconds = [uuid.UUID(item).int >> 80 for item in ids]
    assert milliseconds == sorted(milliseconds)
