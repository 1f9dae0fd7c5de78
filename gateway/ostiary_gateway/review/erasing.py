"""Erases checks: a tombstone in the log first, then what it stands for, key by key.

The tombstone is the intent: whatever a crash leaves undone, a later start or call finishes. What stays is the
log, whose entries give nothing away without record and salt, and the tombstone itself.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

import structlog

from ostiary.v1.audit_pb2 import EraseCheckRequest, EraseCheckResponse
from ostiary.v1.record_pb2 import EventErasure, EventRecord
from ostiary.wire.call import Call, Handler
from ostiary.wire.errors import OstiaryError, Reason, invalid_field, missing_field
from ostiary_gateway.case_log import CaseLog, OvertakenError, RecordedEvent
from ostiary_gateway.evidence import EvidenceStore
from ostiary_gateway.review.callers import tenant_of
from ostiary_gateway.review.cases import Case, Cases
from ostiary_gateway.review.service import case_event
from ostiary_gateway.review.standing import APPEALED, COMMENTED, ERASED, RULED

MOST_REASON = 500
# What people wrote about a check goes with it. Who took it, held it or looked at it, and when, stays.
WITH_TEXTS = (COMMENTED, RULED, APPEALED)
_BATCH = 100
_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Erasure:
    """A check whose tombstone is on record, in an entry of the log: what of it is left is to go."""

    tenant: str
    check_id: str
    log_index: int


class Erasures(Protocol):
    """What the store has of erased checks. Each method raises OstiaryError (STORE_UNAVAILABLE)."""

    async def unfinished(self, most: int) -> list[Erasure]:
        """Those with a tombstone of which something may be left, the oldest first."""
        ...

    async def since(self, log_index: int) -> tuple[list[Erasure], int]:
        """Those whose tombstones stand behind an entry of the log, and the entry to go on from."""
        ...

    async def submissions(self, erasure: Erasure) -> list[str]:
        """Check ids under which bulk requests of the same work may be kept."""
        ...

    async def complete(self, erasures: Sequence[Erasure]) -> None:
        """Destroy what the tables hold of checks whose evidence is destroyed, and note that all is done.

        When it returns, neither the database nor its write-ahead log holds a byte of it. Half done, it is
        done again.
        """
        ...


class Eraser:
    """Erases checks, one call or one batch at a time. For one event loop."""

    def __init__(
        self,
        cases: Cases,
        log: CaseLog,
        erasures: Erasures,
        evidence: EvidenceStore,
        forget: Callable[[str, str], object] = lambda tenant, check_id: None,
        elsewhere: Callable[[Erasure], Awaitable[None]] | None = None,
    ) -> None:
        """`forget` is told tenant and check id of what must not be used again in this process.

        `elsewhere` destroys what other files hold of a check, for as often as it is asked to; it raises
        OstiaryError (STORE_UNAVAILABLE) where it cannot.
        """
        self._elsewhere = elsewhere
        self._cases = cases
        self._log = log
        self._erasures = erasures
        self._evidence = evidence
        self._forget = forget
        self._alone = asyncio.Lock()

    async def erase(self, tenant: str, check_id: str, actor: str, reason: str) -> RecordedEvent:
        """The tombstone of a check of which nothing is left; the first one, where it was erased before.

        Raises:
            OstiaryError: NOT_FOUND; FAILED_PRECONDITION while a legal hold stands; STORE_UNAVAILABLE, after
                which the check may be erased in part: call again, or leave it to the gateway.
        """
        tombstone = await self.entomb(tenant, check_id, actor, reason)
        await self.finish([Erasure(tenant, check_id, tombstone.log_index)])
        return tombstone

    async def entomb(self, tenant: str, check_id: str, actor: str, reason: str) -> RecordedEvent:
        """The tombstone of a check, put on record if it has none; from then on it is erased, come what may.

        Raises:
            OstiaryError: as `erase`.
        """
        while True:
            case = await self._cases.get(tenant, check_id)
            if case is None:
                raise OstiaryError(Reason.NOT_FOUND, "There is no such case: check the check_id")
            if (tombstone := tombstone_of(case)) is not None:
                return tombstone
            if case.standing.held:
                words = "A legal hold stands on this check: it can be erased once the hold is lifted"
                raise OstiaryError(Reason.FAILED_PRECONDITION, words)
            items = await self._evidence.names(tenant, check_id)
            log_index = case.response.receipt.log_index
            event = EventRecord(
                check_id=check_id,
                tenant=tenant,
                actor=actor,
                kind=ERASED,
                detail=f"record and {len(items)} pieces of evidence",
                reason=reason,
                erasure=EventErasure(items=items, log_index=log_index, events=_with_texts(case)),
            )
            # Taken up again from the start where something came between, which may have been a hold.
            with suppress(OvertakenError):
                return await self._log.append(event, after=case.standing.version)

    async def finish(self, erasures: Sequence[Erasure]) -> None:
        """Destroy what is left of checks that have their tombstones: evidence first, its keys before all.

        Raises:
            OstiaryError: STORE_UNAVAILABLE.
        """
        async with self._alone:
            for erasure in erasures:
                self._forget(erasure.tenant, erasure.check_id)
                await self._name_texts(erasure)
                for check_id in (erasure.check_id, *await self._erasures.submissions(erasure)):
                    await self._evidence.shred(erasure.tenant, check_id)
                if self._elsewhere is not None:
                    await self._elsewhere(erasure)
            await self._erasures.complete(erasures)

    async def _name_texts(self, erasure: Erasure) -> None:
        """Put a second tombstone on what was written while the first was: an audit takes no other's word."""
        case = await self._cases.get(erasure.tenant, erasure.check_id)
        tombstone = tombstone_of(case) if case else None
        if case is None or tombstone is None or not (unnamed := _with_texts(case)):
            return
        record = tombstone.record
        event = EventRecord(
            check_id=record.check_id,
            tenant=record.tenant,
            actor=record.actor,
            kind=ERASED,
            detail=f"{len(unnamed)} more events",
            reason=record.reason,
            erasure=EventErasure(log_index=record.erasure.log_index, events=unnamed),
        )
        await self._log.append(event)

    async def run(self, interval: float) -> None:
        """Finish what was left undone, here or by a process that died, every so many seconds until cancelled.

        What other processes erase is forgotten here too.
        """
        seen = -1
        while True:
            try:
                others, seen = await self._erasures.since(seen)
                for erasure in others:
                    self._forget(erasure.tenant, erasure.check_id)
                while left := await self._erasures.unfinished(_BATCH):
                    await self.finish(left)
                    _log.info("erasures finished", checks=len(left))
            except OstiaryError as error:
                _log.error("erasing goes on later", error=error.message)
            await asyncio.sleep(interval)


def tombstone_of(case: Case) -> RecordedEvent | None:
    """The event that erased a case; None where it is not erased."""
    return next((event for event in case.events if event.record.kind == ERASED), None)


def _with_texts(case: Case) -> list[int]:
    """Entries of the events that people wrote something into, and that no tombstone names yet."""
    named = {index for event in case.events for index in event.record.erasure.events}
    written = (event.log_index for event in case.events if event.record.kind in WITH_TEXTS)
    return [index for index in written if index not in named]


class EraseService:
    """The handler of EraseCheck."""

    def __init__(self, eraser: Eraser) -> None:
        self._eraser = eraser

    def handlers(self) -> Mapping[str, Handler]:
        """The handler by its method's name."""
        return {"EraseCheck": self.erase_check}

    async def erase_check(self, request: EraseCheckRequest, call: Call) -> EraseCheckResponse:
        """EraseCheck: when it answers, nothing of the check is left but the log and the tombstone."""
        tenant = tenant_of(call)
        if not request.check_id:
            raise missing_field("check_id", "name the check")
        if not request.reason.strip():
            raise missing_field("reason", "say why it is erased: it stays on record")
        if len(request.reason) > MOST_REASON:
            raise invalid_field("reason", f"send at most {MOST_REASON} characters")
        actor = str(call.principal.id)
        tombstone = await self._eraser.erase(tenant, request.check_id, actor, request.reason)
        return EraseCheckResponse(event=case_event(tombstone))
