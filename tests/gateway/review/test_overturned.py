"""What an overturn puts on allow-lists, and what a later ruling takes off."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostiary.v1.admin_pb2 import HashKind
from ostiary.v1.decision_pb2 import ACTION_BLOCK, ACTION_NOTE, ACTION_REVIEW, Evidence, Finding
from ostiary.v1.image_pb2 import CanonicalImage, Region
from ostiary.v1.listing_pb2 import Listing
from ostiary.v1.moderation_pb2 import CheckResponse
from ostiary.v1.observation_pb2 import Observations, PdqHash, PolicyScore
from ostiary.v1.record_pb2 import DecisionRecord
from ostiary_gateway.hashes.in_force import ListInForce
from ostiary_gateway.hashes.reading import read_list
from ostiary_gateway.review.overturned import Allowance, allowances, granting, withdrawing

NOW = datetime(2026, 11, 26, tzinfo=UTC)
LATER = NOW + timedelta(days=90)
SHA256, PDQ = HashKind.HASH_KIND_SHA256, HashKind.HASH_KIND_PDQ


def finding(label: str, image: int = 0, action: Any = ACTION_REVIEW) -> Finding:
    regions = [Region(image_index=image)] if image >= 0 else []
    return Finding(policy="prohibited_ads", label=label, action=action, source="ocr", regions=regions)


def record(*findings: Finding, seller: str = "anna", check_id: str = "c1") -> DecisionRecord:
    """A check of two images."""
    seen = Observations(
        images=[
            CanonicalImage(image_index=index, sha256=bytes([index]) * 32, raw_sha256=bytes([index + 8]) * 32)
            for index in range(2)
        ],
        pdq=[
            PdqHash(image_index=0, hash=b"p" * 32, quality=100),
            PdqHash(image_index=1, hash=b"q" * 32, quality=49),
        ],
    )
    return DecisionRecord(
        check_id=check_id,
        tenant="demo",
        listing=Listing(seller=seller),
        response=CheckResponse(findings=findings),
        observations=seen,
    )


def allowed(of: DecisionRecord) -> set[tuple[str, Any, bytes]]:
    return {(each.label, each.kind, each.hash[:1]) for each in allowances(of, LATER)}


@pytest.mark.parametrize(
    ("of", "what"),
    [
        (
            record(finding("qr_code")),
            {("qr_code", SHA256, b"\0"), ("qr_code", SHA256, b"\x08"), ("qr_code", PDQ, b"p")},
        ),
        (record(finding("qr_code", 1)), {("qr_code", SHA256, b"\1"), ("qr_code", SHA256, b"\x09")}),
        (
            record(finding("qr_code", 1), finding("qr_code", 1, ACTION_BLOCK)),
            {("qr_code", SHA256, b"\1"), ("qr_code", SHA256, b"\x09")},
        ),
        (record(finding("qr_code", action=ACTION_NOTE)), set()),
        (record(finding("medical_claim", -1)), set()),
        (record(finding("qr_code"), seller=""), set()),
        (record(), set()),
    ],
    ids=["an image", "an image of little quality", "twice", "a note", "listing text", "no seller", "nothing"],
)
def test_what_is_allowed(of: DecisionRecord, what: set[Any]) -> None:
    """The flagged images, for the label that they were flagged with; by looks where that tells."""
    assert allowed(of) == what


def test_a_score_tells_its_image() -> None:
    """Findings about a whole image name it in their evidence."""
    found = Finding(
        policy="nudity",
        label="partial",
        action=ACTION_REVIEW,
        source="vlm",
        evidence=Evidence(score=PolicyScore(question="q", image_index=1)),
    )
    assert allowed(record(found)) == {("partial", SHA256, b"\1"), ("partial", SHA256, b"\x09")}


def taken(amended: Callable[[Any], Any], held: ListInForce | None) -> ListInForce | None:
    """The list that comes of it, read as gateways read it."""
    files = amended(held)
    if files is None:
        return held
    return read_list("overturned-prohibited-ads--qr-code", files[0], BytesIO(files[1]))


def grants(of: DecisionRecord, until: datetime = LATER) -> list[Allowance]:
    return [each for each in allowances(of, until) if each.kind == PDQ]


def test_a_list_s_life() -> None:
    """Made, added to, left alone where it says so already, ended, and rid of what has ended."""
    first = taken(granting(grants(record(finding("qr_code"))), "7", NOW), None)
    assert first is not None
    assert (first.header.version, first.header.allows, first.header.max_distance) == ("7", True, 16)
    hit = first.find(b"p" * 32, "anna", NOW, "demo")
    assert hit is not None
    assert (hit.entry.note, hit.entry.expires_at) == ("check c1 was overturned", LATER)
    assert first.find(b"p" * 32, "anna", NOW, "other") is None
    assert first.find(b"p" * 32, "bert", NOW, "demo") is None
    again = granting(grants(record(finding("qr_code")), NOW + timedelta(days=1)), "8", NOW)
    assert again(first) is None
    both = taken(granting(grants(record(finding("qr_code"), seller="bert", check_id="c2")), "9", NOW), first)
    assert both is not None
    assert len(both) == 2
    ended = taken(withdrawing(["c1"], "10", NOW), both)
    assert ended is not None
    assert ended.find(b"p" * 32, "anna", NOW, "demo") is None
    assert ended.find(b"p" * 32, "bert", NOW, "demo") is not None
    assert withdrawing(["c1", "c3"], "11", NOW + timedelta(days=1))(ended) is None
    renewed = taken(granting(grants(record(finding("qr_code"))), "12", NOW + timedelta(days=1)), ended)
    assert renewed is not None
    assert len(renewed) == 2


_NAME = st.text("ab_-X.", min_size=1, max_size=70)


@given(*[st.tuples(_NAME, _NAME, st.sampled_from([PDQ, SHA256]))] * 2)
def test_no_two_share_a_list(one: Any, other: Any) -> None:
    """Whatever policies and labels are called, and however long; and a list's name is a DNS label."""
    names = [
        Allowance(policy, label, kind, b"h" * 32, "t", "s", LATER, "c").list
        for policy, label, kind in (one, other)
    ]
    assert (names[0] == names[1]) == (one == other)
    assert all(len(name) <= 63 and name.strip("-") == name and "." not in name for name in names)
