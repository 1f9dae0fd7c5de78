"""The contract of what happens to cases: an event is durable, in the log, before anything follows from it."""

from dataclasses import dataclass
from typing import Protocol

from ostiary.v1.record_pb2 import EventRecord


@dataclass(frozen=True)
class RecordedEvent:
    """An event on record, and the index of its entry in the log."""

    log_index: int
    record: EventRecord


class OvertakenError(Exception):
    """The case has changed since it was looked at; nothing was recorded. Look again, and decide anew."""


class CaseLog(Protocol):
    """Where events become durable."""

    async def append(self, event: EventRecord, *, after: int | None = None) -> RecordedEvent:
        """Make an event durable, in an entry of its own; `at` is set to the time of recording.

        When it returns, the event survives a crash of the process and of the machine. A cancelled caller may
        find its event recorded.

        Args:
            event: what happened; copied, never changed. It needs check_id, tenant, actor and kind.
            after: `Standing.version` of the case as the caller saw it; None: whatever has happened since.

        Raises:
            OvertakenError: the case's version is another than `after`.
            OstiaryError: the tenant has no such case (NOT_FOUND), it was erased (FAILED_PRECONDITION; only
                more tombstones are taken), or the store cannot take the event (STORE_UNAVAILABLE): then
                nothing may follow from it.
        """
        ...
