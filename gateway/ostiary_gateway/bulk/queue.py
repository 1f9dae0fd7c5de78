"""The contract of the bulk queue: what it has accepted is durable, and comes to an answer."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Submission:
    """A check that was accepted. Its request is kept as evidence, encrypted, until it is answered.

    Attributes:
        check_id: identifier that its caller was given.
        tenant: the caller's tenant.
        idempotency_key: never empty.
        request_sha256: 32 bytes over the request.
        caller: SPIFFE ID.
        role: role that the caller had.
        version_pin: value of the `ostiary-version-pin` metadata; may be empty.
        attempts: how often it has failed.
        answered_by: the check on record that answers it, where that is another; empty: its own, or none yet.
    """

    check_id: str
    tenant: str
    idempotency_key: str
    request_sha256: bytes
    caller: str
    role: str
    version_pin: str = ""
    attempts: int = 0
    answered_by: str = ""


class BulkQueue(Protocol):
    """Where accepted checks wait. Every method raises OstiaryError (STORE_UNAVAILABLE)."""

    async def add(self, new: Submission) -> Submission:
        """Make a submission durable and return it, or the one that the tenant's key was used for before.

        Raises OstiaryError (OVERLOADED) where too many wait.
        """
        ...

    async def find(self, tenant: str, check_id: str) -> Submission | None:
        """A tenant's submission; None where it has none, or where it is on record itself."""
        ...

    async def claim(self, most: int, seconds: float) -> list[Submission]:
        """The oldest that are due, for this process alone for so many seconds; they are due again after."""
        ...

    async def postpone(self, check_id: str, seconds: float, *, failed: bool = False) -> None:
        """Let a submission be due in so many seconds; `failed` counts an attempt."""
        ...

    async def finish(self, check_id: str, answered_by: str) -> None:
        """A submission is answered by a check on record, its own or another."""
        ...
