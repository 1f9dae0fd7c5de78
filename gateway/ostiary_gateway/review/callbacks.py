"""Tells sellers' systems what became of their appeals, from a durable outbox: signed, and tried again."""

import asyncio
import json
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Protocol

import structlog

from ostiary.tlog.note import SignerKey, encode_base64
from ostiary.v1.audit_pb2 import RULING_OVERTURN
from ostiary.v1.decision_pb2 import Verdict
from ostiary.v1.record_pb2 import EventNotice, EventRecord
from ostiary_gateway.case_log import CaseLog
from ostiary_gateway.review import standing as kinds
from ostiary_gateway.review.addresses import CallbackGuard, RefusedAddressError, Target, parse_target
from ostiary_gateway.times import microseconds, utc_now

LOG = structlog.get_logger("ostiary.review")
SIGNATURE_HEADER = "Ostiary-Signature"
SIGNED = "ostiary.dev/callback/v1"
_SECONDS = 10.0  # for everything: look-up, handshake, answer
_LEASE_SECONDS = 60
_FIRST_PAUSE, _LONGEST_PAUSE, _MOST_ATTEMPTS = 5, 6 * 3600, 20
_AT_ONCE = 16
_POLL_SECONDS = 2.0


@dataclass(frozen=True)
class Notice:
    """An outcome that an address has to be told: the ruling that settled the appeal, and tries so far."""

    appeal_id: str
    callback_uri: str
    ruled: EventRecord
    attempts: int


class Outbox(Protocol):
    """Notices that are to be sent; durable. Each method raises OstiaryError (STORE_UNAVAILABLE)."""

    async def claim(self, now_us: int, until_us: int, most: int) -> list[Notice]:
        """Notices that are due; nobody else gets them before `until_us`."""
        ...

    async def postpone(self, appeal_id: str, due_us: int) -> None:
        """Try again then; it counts as a try."""
        ...

    async def remove(self, appeal_id: str) -> None:
        """It is told, or given up."""
        ...


class Callbacks:
    """The task that empties the outbox. Nobody waits for it."""

    def __init__(
        self,
        outbox: Outbox,
        log: CaseLog,
        guard: CallbackGuard,
        key: SignerKey,
        context: ssl.SSLContext,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        """`key` signs what is sent; `context` says which servers are trusted."""
        self._outbox = outbox
        self._log = log
        self._guard = guard
        self._key = key
        self._context = context
        self._clock = clock

    async def run(self) -> None:
        """Send what is due, until cancelled."""
        while True:
            try:
                busy = await self.send_due()
            except Exception as error:  # the outbox keeps what it has
                LOG.error("the outbox could not be read", error=str(error))
                busy = False
            if not busy:
                await asyncio.sleep(_POLL_SECONDS)

    async def send_due(self) -> bool:
        """Try each notice that is due once; whether there were any."""
        now_us = microseconds(self._clock())
        notices = await self._outbox.claim(now_us, now_us + _LEASE_SECONDS * 1_000_000, _AT_ONCE)
        await asyncio.gather(*map(self._try, notices))
        return bool(notices)

    async def _try(self, notice: Notice) -> None:
        try:
            await self._send(notice)
        except RefusedAddressError as error:
            LOG.warning("a callback is refused", appeal_id=notice.appeal_id, error=str(error))
            await self._end(notice, delivered=False, why=str(error))
        except (OSError, ValueError, EOFError) as error:
            await self._failed(notice, str(error) or type(error).__name__)
        else:
            await self._end(notice, delivered=True, why="")

    async def _failed(self, notice: Notice, why: str) -> None:
        LOG.info("a callback failed", appeal_id=notice.appeal_id, attempts=notice.attempts + 1, error=why)
        if notice.attempts + 1 >= _MOST_ATTEMPTS:
            await self._end(notice, delivered=False, why=why)
            return
        pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2**notice.attempts)
        await self._outbox.postpone(notice.appeal_id, microseconds(self._clock()) + pause * 1_000_000)

    async def _end(self, notice: Notice, *, delivered: bool, why: str) -> None:
        """On record first: told twice is better than never."""
        await self._log.append(
            EventRecord(
                check_id=notice.ruled.check_id,
                tenant=notice.ruled.tenant,
                actor="ostiary",
                kind=kinds.TOLD,
                detail="the appeal's callback address was told"
                if delivered
                else f"the appeal's callback address was given up: {why}",
                notice=EventNotice(appeal_id=notice.appeal_id, delivered=delivered),
            )
        )
        await self._outbox.remove(notice.appeal_id)

    async def _send(self, notice: Notice) -> None:
        target = parse_target(notice.callback_uri)
        body = body_of(notice)
        headers = {SIGNATURE_HEADER: signature(self._key, body), "Content-Type": "application/json"}
        async with asyncio.timeout(_SECONDS):
            address = (await self._guard.addresses(target))[0]
            status = await post(target, str(address), body, headers, self._context)
        if not 200 <= status < 300:
            raise ValueError(f"the server answered {status}")


def body_of(notice: Notice) -> bytes:
    """What is sent: JSON, with nothing of what is for compliance teams alone."""
    ruling = notice.ruled.ruling
    said = {
        "appeal_id": notice.appeal_id,
        "check_id": notice.ruled.check_id,
        "outcome": "overturned" if ruling.ruling == RULING_OVERTURN else "upheld",
        "verdict": Verdict.Name(ruling.verdict).removeprefix("VERDICT_"),
        "reason": ruling.seller_reason,
        "decided_at": notice.ruled.at.ToJsonString(),
    }
    return json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode()


def signature(key: SignerKey, body: bytes) -> str:
    """A C2SP signed note over the body's SHA-256, in base64; the log's verifier key checks it."""
    return encode_base64(key.sign(f"{SIGNED}\n{sha256(body).hexdigest()}\n").encode())


async def post(
    target: Target, address: str, body: bytes, headers: dict[str, str], context: ssl.SSLContext
) -> int:
    """The status of the answer of the server at `address`, which has to have the target's name.

    A redirect is an answer like others: nobody goes there. Raises OSError, ValueError, EOFError.
    """
    reader, writer = await asyncio.open_connection(
        address, target.port, ssl=context, server_hostname=target.host
    )
    try:
        host = f"[{target.host}]" if ":" in target.host else target.host
        named = host if target.port == 443 else f"{host}:{target.port}"
        lines = [f"POST {target.path} HTTP/1.1", f"Host: {named}", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        lines += ["User-Agent: ostiary", "Connection: close"]
        writer.write("\r\n".join([*lines, "", ""]).encode("ascii") + body)
        await writer.drain()
        return _status(await reader.readline())
    finally:
        writer.transport.abort()


def _status(line: bytes) -> int:
    parts = line.split(b" ", 2)
    if len(parts) < 2 or not parts[0].startswith(b"HTTP/1.") or not parts[1].isdigit():
        raise ValueError("the server's answer is not HTTP")
    return int(parts[1])
