"""Whether a check may start now."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Protocol

from ostiary.wire.authorization import Principal
from ostiary.wire.errors import OstiaryError, Reason

MIB = 1024 * 1024


class Admission(Protocol):
    """Keeps the gateway from taking on more than it can finish."""

    def enter(self, principal: Principal, size: int, remaining: float | None) -> AbstractContextManager[None]:
        """A place for one check of `size` bytes; leaving the context gives it back.

        Args:
            principal: who asks.
            size: bytes that the check will hold in memory.
            remaining: seconds to its deadline; None: it has none.

        Raises:
            OstiaryError: on entering. OVERLOADED (with a time to retry after) where there is no place;
                DEADLINE_EXPIRED where the deadline leaves no time to look; PERMISSION_DENIED where the
                caller belongs to no tenant.
        """
        ...


@dataclass(frozen=True)
class AdmissionLimits:
    """How much is taken on at once."""

    max_checks: int = 64
    """Checks in progress."""
    max_bytes: int = 256 * MIB
    """Bytes of request that they hold together."""
    min_seconds: float = 0.1
    """A deadline nearer than this leaves no time to look at an image."""
    retry_after: float = 1.0
    """Seconds after which a refused caller may try again."""


class FixedAdmission:
    """Fixed limits. For one event loop; nothing here waits."""

    def __init__(self, limits: AdmissionLimits) -> None:
        self._limits = limits
        self._checks = 0
        self._bytes = 0

    @contextmanager
    def enter(self, principal: Principal, size: int, remaining: float | None) -> Iterator[None]:
        """See `Admission.enter`."""
        self._refuse(principal, size, remaining)
        self._checks += 1
        self._bytes += size
        try:
            yield
        finally:
            self._checks -= 1
            self._bytes -= size

    def _refuse(self, principal: Principal, size: int, remaining: float | None) -> None:
        limits = self._limits
        if not principal.tenant:
            raise OstiaryError(
                Reason.PERMISSION_DENIED,
                f"{principal.id} belongs to no tenant, and a check needs one: name it in the gateway's roles",
            )
        if remaining is not None and remaining < limits.min_seconds:
            raise OstiaryError(
                Reason.DEADLINE_EXPIRED,
                f"The deadline leaves {remaining:.3f} s, too little to look at an image: allow some seconds",
            )
        full = self._checks >= limits.max_checks
        # A check that is larger than the limit on its own may run when it is alone.
        if full or (self._checks and self._bytes + size > limits.max_bytes):
            raise OstiaryError(
                Reason.OVERLOADED,
                f"{self._checks} checks are in progress, all that this gateway takes: try again later",
                retry_after=limits.retry_after,
            )
