"""The contract of the record: a decision is durable before anybody hears of it."""

from dataclasses import dataclass
from typing import Protocol

from ostiary.v1.listing_pb2 import Listing
from ostiary.v1.moderation_pb2 import CheckResponse
from ostiary.v1.observation_pb2 import Observations


@dataclass(frozen=True)
class NewDecision:
    """A decision that is not recorded yet.

    `request_sha256` is 32 bytes over the request as it came; `idempotency_key` and `trace_id` may be empty;
    `observations` is None where no pod looked. `response` carries the receipt without the log's fields
    (`log_origin`, `log_index`, `leaf_hash`, `checkpoint`); it is copied, never changed.
    """

    check_id: str
    tenant: str
    caller: str
    idempotency_key: str
    request_sha256: bytes
    listing: Listing
    response: CheckResponse
    observations: Observations | None
    trace_id: str


@dataclass(frozen=True)
class Recorded:
    """A recorded decision: the answer with the whole receipt, who asked for it, and for which request."""

    request_sha256: bytes
    response: CheckResponse
    caller: str


class DuplicateKey(Exception):  # noqa: N818 # an outcome to answer from, more than an error
    """The tenant's idempotency key is taken; nothing new was recorded.

    `recorded` is the answer on record, `request_sha256` the request it was given to: 32 bytes.
    """

    def __init__(self, recorded: CheckResponse, request_sha256: bytes) -> None:
        super().__init__(f"the idempotency key was used for check {recorded.check_id}")
        self.recorded = recorded
        self.request_sha256 = request_sha256


class Recorder(Protocol):
    """Where decisions become durable."""

    async def record(self, new: NewDecision) -> CheckResponse:
        """Make a decision durable and return its answer with the receipt's log fields filled.

        When it returns, the decision survives a crash of the process and of the machine. A cancelled caller
        may find its decision recorded.

        Raises DuplicateKey where the tenant has used the idempotency key before, OstiaryError
        (STORE_UNAVAILABLE) where the store cannot take it: then nothing may be answered.
        """
        ...

    async def find(self, tenant: str, idempotency_key: str) -> Recorded | None:
        """The decision that a tenant's idempotency key led to, if any; an empty key finds none.

        Raises OstiaryError (STORE_UNAVAILABLE).
        """
        ...

    async def since(self, tenant: str, after: int, most: int) -> list[Recorded]:
        """A tenant's decisions behind the log's entry `after`, in the order of the log, `most` at once.

        Raises OstiaryError (STORE_UNAVAILABLE).
        """
        ...

    async def last(self) -> int:
        """Index of the log's newest entry; -1 without one. Raises OstiaryError (STORE_UNAVAILABLE)."""
        ...

    async def get(self, tenant: str, check_id: str) -> Recorded | None:
        """A tenant's decision by its check; None where the tenant has no such check.

        Raises OstiaryError (STORE_UNAVAILABLE).
        """
        ...
