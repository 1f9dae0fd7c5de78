"""A gateway whose record holds decisions worth looking for."""

import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from gateway.site import Running, Site
from ostiary.v1.audit_pb2_grpc import AuditServiceStub
from ostiary.v1.decision_pb2 import (
    ACTION_BLOCK,
    ACTION_NOTE,
    ACTION_REVIEW,
    VERDICT_ALLOW,
    VERDICT_BLOCK,
    VERDICT_HOLD,
    VERDICT_REVIEW,
    Evidence,
    Finding,
    Receipt,
)
from ostiary.v1.listing_pb2 import Listing
from ostiary.v1.moderation_pb2 import CheckResponse
from ostiary.v1.observation_pb2 import Barcode, BrandCandidate, BundleInfo, Observations, OcrSpan
from ostiary.v1.record_pb2 import EventRecord
from ostiary_gateway.recorder import NewDecision
from ostiary_gateway.store.opening import open_recorder

if TYPE_CHECKING:
    from ostiary.v1.audit_pb2_grpc import AuditServiceAsyncStub

START = datetime(2026, 11, 1, 12, tzinfo=UTC)
DIGEST = b"d" * 32
CONTACT = Finding(policy="prohibited_ads", label="contact_details", score=1.0, action=ACTION_REVIEW)
FAKE = Finding(
    policy="logo_infringement",
    label="unauthorised_brand",
    score=0.8,
    action=ACTION_BLOCK,
    evidence=Evidence(brand=BrandCandidate(brand="acme", score=0.8)),
)
NOTED = Finding(policy="nudity", label="explicit", score=0.99, action=ACTION_NOTE)


def check_id(number: int) -> str:
    return f"0193568a-0000-7000-8000-{number:012d}"


def decision(number: int, tenant: str = "demo", **more: Any) -> NewDecision:
    """A decision made `number` hours after the start; by itself one that allows a cup."""
    receipt = Receipt(
        policy=more.get("policy", "default@1"), bundle=BundleInfo(digest=more.get("digest", b""))
    )
    receipt.decided_at.FromDatetime(START + timedelta(hours=number))
    return NewDecision(
        check_id=check_id(number),
        tenant=tenant,
        caller=f"spiffe://ostiary.local/tenant/{tenant}/role/pipeline",
        idempotency_key="",
        request_sha256=b"r" * 32,
        listing=Listing(title=more.get("title", "Cup"), seller=more.get("seller", "")),
        response=CheckResponse(
            check_id=check_id(number),
            verdict=more.get("verdict", VERDICT_ALLOW),
            findings=more.get("findings", []),
            receipt=receipt,
        ),
        observations=more.get("seen"),
        trace_id="",
    )


DECISIONS = [
    decision(0),
    decision(1, verdict=VERDICT_REVIEW, findings=[CONTACT], seller="anna", digest=DIGEST),
    decision(2, verdict=VERDICT_BLOCK, findings=[NOTED, CONTACT, FAKE], seller="bert"),
    decision(3, verdict=VERDICT_HOLD, policy="strict@2", title="ＳＨＯＥＳ 100%_new"),
    decision(
        4,
        verdict=VERDICT_REVIEW,
        findings=[FAKE],
        seller="anna",
        seen=Observations(
            ocr=[OcrSpan(text="微信 Abc123")], barcodes=[Barcode(format="QRCode", text="https://x.example")]
        ),
    ),
    decision(5, tenant="other", verdict=VERDICT_REVIEW, findings=[CONTACT], seller="anna"),
]


async def record(site: Site, *decisions: NewDecision, store: str = "") -> None:
    """Record decisions as the site's gateway would, one after the other; `store`: URL of its database."""
    async with open_recorder(
        store=store or site.folder / "data/ostiary.db",
        log_dir=site.folder / "log",
        log_key=site.folder / "log.key",
        origin="ostiary.local/log",
    ) as recorder:
        for new in decisions:
            await recorder.record(new)


@pytest.fixture
def store() -> str:
    """URL of the gateway's database; empty: a file in its folder."""
    return ""


@pytest.fixture
async def filled(site: Site, store: str) -> Site:
    """A gateway's folder with the decisions on record."""
    await record(site, *DECISIONS, store=store)
    return site


@pytest.fixture
async def desk(filled: Site, store: str) -> AsyncIterator[Running]:
    """A gateway that serves them."""
    async with filled.start(**({"store": store} if store else {})) as running:
        yield running


@pytest.fixture
def as_(desk: Running) -> Callable[[str], "AuditServiceAsyncStub"]:
    """The service, as somebody."""

    def stub(who: str) -> "AuditServiceAsyncStub":
        found: AuditServiceAsyncStub = AuditServiceStub(desk.channel(who))
        return found

    return stub


def events_on_record(site: Site) -> list[EventRecord]:
    """What happened to cases, as the site's database holds it, the oldest first."""
    with closing(sqlite3.connect(site.folder / "data/ostiary.db")) as store:
        rows = store.execute("SELECT record FROM case_events ORDER BY log_index")
        return [EventRecord.FromString(record) for (record,) in rows]
