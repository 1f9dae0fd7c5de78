"""Outcomes of appeals are told over HTTPS: signed, and to the very address that was looked at."""

import asyncio
import base64
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from ipaddress import ip_network
from typing import Any

import pytest

from gateway.recorder.conftest import Home, new_decision
from gateway.site import People
from ostiary.tlog.keys import create_log_key, load_log_key
from ostiary.v1.audit_pb2 import RULING_OVERTURN, RULING_UPHOLD
from ostiary.v1.decision_pb2 import VERDICT_ALLOW, VERDICT_BLOCK
from ostiary.v1.record_pb2 import NEXT_REVIEWER_NONE, EventAppeal, EventRecord, EventRuling
from ostiary.wire.identity import SpiffeId
from ostiary_gateway.review.addresses import AddressRules, CallbackGuard
from ostiary_gateway.review.callbacks import SIGNATURE_HEADER, Callbacks
from ostiary_gateway.store.database_cases import open_cases
from ostiary_gateway.store.database_outbox import open_outbox
from ostiary_gateway.store.database_recorder import DatabaseRecorder

CHECK = new_decision(0).check_id
HERE = AddressRules(allow=(ip_network("127.0.0.0/8"),))
OK = b"HTTP/1.1 204 No Content\r\n\r\n"


@pytest.fixture
def home(tmp_path: Any) -> Home:
    """A gateway's folder with a log key."""
    home = Home(tmp_path / "stack")
    home.gateway.mkdir(parents=True)
    create_log_key(home.gateway / "log.key", "ostiary.local/log")
    return home


@dataclass
class Clock:
    """Time that a test sets."""

    now: datetime = datetime(2026, 11, 26, 3, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@dataclass
class Shop:
    """A seller's system: what it was sent, and how it answers next."""

    port: int = 0
    answers: list[bytes] = field(default_factory=list)
    sent: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    connections: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:])}
        body = await reader.readexactly(int(headers["content-length"]))
        self.sent.append(({"line": head[0], **headers}, body))
        writer.write(self.answers.pop(0) if self.answers else OK)
        await writer.drain()
        writer.close()


@asynccontextmanager
async def a_shop(people: People) -> AsyncIterator[Shop]:
    shop, identity = Shop(), SpiffeId("ostiary.local", "/shop")
    people.authority.issue(people.folder / "shop", identity, ["shop.example"], [])
    files = people.files("shop")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(files.cert, files.key)
    server = await asyncio.start_server(shop.serve, "127.0.0.1", 0, ssl=context)
    shop.port = server.sockets[0].getsockname()[1]
    async with server:
        yield shop


async def settle(recorder: DatabaseRecorder, port: int, *, overturn: bool = True) -> None:
    """A case that was appealed and decided."""
    await recorder.record(new_decision(0))
    await recorder.append(
        EventRecord(
            check_id=CHECK,
            tenant="demo",
            actor="pipeline",
            kind="appealed",
            appeal=EventAppeal(
                appeal_id="a1", statement="mine", callback_uri=f"https://shop.example:{port}/done?x=1"
            ),
        )
    )
    ruling = EventRuling(
        ruling=RULING_OVERTURN if overturn else RULING_UPHOLD,
        verdict=VERDICT_ALLOW if overturn else VERDICT_BLOCK,
        next=NEXT_REVIEWER_NONE,
        seller_reason="Entschuldigung",
    )
    await recorder.append(
        EventRecord(check_id=CHECK, tenant="demo", actor="anna", kind="ruled", reason="secret", ruling=ruling)
    )


@asynccontextmanager
async def telling(
    home: Home, people: People, clock: Clock, addresses: Callable[[], list[str]] = lambda: ["127.0.0.1"]
) -> AsyncIterator[tuple[DatabaseRecorder, Callbacks]]:
    """The recorder and the task that tells, which a test steps through."""

    async def resolve(host: str, port: int) -> list[str]:
        assert host == "shop.example"
        return addresses()

    context = ssl.create_default_context(cafile=people.files("pod").ca)
    key = load_log_key(home.gateway / "log.key")
    async with home.open(clock=clock) as recorder, open_outbox(home.store) as outbox:
        yield recorder, Callbacks(outbox, recorder, CallbackGuard(HERE, resolve), key, context, clock)


async def told(home: Home) -> list[tuple[bool, str]]:
    async with open_cases(home.store, "ostiary.local/log") as cases:
        case = await cases.get("demo", CHECK)
    assert case is not None
    return [
        (each.record.notice.delivered, each.record.detail)
        for each in case.events
        if each.record.kind == "told"
    ]


async def test_the_outcome_is_told_once(home: Home, people: People) -> None:
    """With its reason for the seller and nothing else, signed by the log's key; and that is on record."""
    async with a_shop(people) as shop, telling(home, people, Clock()) as (recorder, callbacks):
        await settle(recorder, shop.port)
        assert await callbacks.send_due()
        assert not await callbacks.send_due()
    [(headers, body)] = shop.sent
    assert headers["line"] == "POST /done?x=1 HTTP/1.1"
    assert headers["host"] == f"shop.example:{shop.port}"
    assert json.loads(body) == {
        "appeal_id": "a1",
        "check_id": CHECK,
        "outcome": "overturned",
        "verdict": "ALLOW",
        "reason": "Entschuldigung",
        "decided_at": "2026-11-26T03:00:00Z",
    }
    note = base64.b64decode(headers[SIGNATURE_HEADER.lower()]).decode()
    signed = load_log_key(home.gateway / "log.key").verifier.verify(note)
    assert signed == f"ostiary.dev/callback/v1\n{sha256(body).hexdigest()}\n"
    assert await told(home) == [(True, "the appeal's callback address was told")]


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 500 Oops\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: https://127.0.0.1/\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n",
        b"",
    ],
    ids=["an error", "a redirect", "something else", "nothing"],
)
async def test_tried_again(home: Home, people: People, answer: bytes) -> None:
    """Later, and later still, in other processes too; a redirect is not followed."""
    clock = Clock()
    async with a_shop(people) as shop:
        shop.answers = [answer, answer]
        async with telling(home, people, clock) as (recorder, callbacks):
            await settle(recorder, shop.port, overturn=False)
            assert await callbacks.send_due()
            clock.now += timedelta(seconds=4)
            assert not await callbacks.send_due()
            clock.now += timedelta(seconds=1)
            assert await callbacks.send_due()
        async with telling(home, people, clock) as (recorder, callbacks):
            clock.now += timedelta(seconds=9)
            assert not await callbacks.send_due()
            clock.now += timedelta(seconds=1)
            assert await callbacks.send_due()
    assert (len(shop.sent), shop.connections) == (3, 3)
    assert json.loads(shop.sent[-1][1])["outcome"] == "upheld"
    assert [delivered for delivered, _ in await told(home)] == [True]


async def test_given_up(home: Home, people: People) -> None:
    """After two days without an answer; and that is on record."""
    clock = Clock()
    async with telling(home, people, clock) as (recorder, callbacks):
        await settle(recorder, 1)
        started, tries = clock.now, 0
        while not await told(home):
            tries += await callbacks.send_due()
            clock.now += timedelta(hours=6)
    assert tries == 20
    assert clock.now - started > timedelta(days=2)
    [(delivered, why)] = await told(home)
    assert not delivered
    assert "given up" in why


async def test_a_name_that_turns_inside(home: Home, people: People) -> None:
    """What the name leads to is looked at anew, and nothing inside is called."""
    rules = iter([["10.0.0.1"]])
    async with (
        a_shop(people) as shop,
        telling(home, people, Clock(), lambda: next(rules)) as (
            recorder,
            callbacks,
        ),
    ):
        await settle(recorder, shop.port)
        await callbacks.send_due()
    assert shop.connections == 0
    [(delivered, why)] = await told(home)
    assert not delivered
    assert "10.0.0.1 is not a public address" in why


async def test_a_server_of_another_name(home: Home, people: People) -> None:
    """The certificate has to be the host's, and of an authority that is trusted."""
    async with a_shop(people) as shop, telling(home, people, Clock()) as (recorder, callbacks):
        context = ssl.create_default_context()
        callbacks._context = context  # trusts public authorities alone
        await settle(recorder, shop.port)
        await callbacks.send_due()
    assert not shop.sent
    assert await told(home) == []


async def test_nobody_waits_for_one_that_never_answers(home: Home, people: People) -> None:
    """Rulings are recorded meanwhile."""
    gate = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await gate.wait()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    async with telling(home, people, Clock()) as (recorder, callbacks):
        await settle(recorder, server.sockets[0].getsockname()[1])
        sending = asyncio.create_task(callbacks.send_due())
        await asyncio.sleep(0.05)
        async with asyncio.timeout(5):
            await recorder.append(EventRecord(check_id=CHECK, tenant="demo", actor="a", kind="commented"))
        assert not sending.done()
        gate.set()
        await sending
    server.close()
    await server.wait_closed()
    assert await told(home) == []
