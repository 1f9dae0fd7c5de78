"""How much each tenant may ask for: so many checks a second, and so many a day. Pure; time is given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

_DAY = timedelta(days=1)
_SWEEP = 1024  # tenants, above which those that ask for nothing are forgotten


@dataclass(frozen=True)
class TenantLimits:
    """What one tenant may ask of one gateway process.

    Attributes:
        per_second: checks a second, over a longer time; None: any number.
        burst: checks at once after a quiet time.
        per_day: checks a day (UTC); None: any number.
    """

    per_second: float | None = None
    burst: float = 20.0
    per_day: int | None = None


@dataclass
class _Account:
    tokens: float
    filled_at: float
    day: datetime
    used: int = 0


@dataclass(frozen=True)
class Refused:
    """`retry_after`: seconds. `of_day`: it was the day's quota, not the rate."""

    retry_after: float
    of_day: bool


@dataclass(frozen=True)
class Quotas:
    """What tenants may ask for. `others`: those that are not named."""

    others: TenantLimits = TenantLimits()
    named: Mapping[str, TenantLimits] = field(default_factory=dict)

    def of(self, tenant: str) -> TenantLimits:
        """A tenant's limits."""
        return self.named.get(tenant, self.others)


class Meter:
    """Counts what tenants ask for (a token bucket each, and a count a day)."""

    def __init__(self, quotas: Quotas) -> None:
        self._quotas = quotas
        self._accounts: dict[str, _Account] = {}
        self._sweep_at = _SWEEP

    def __len__(self) -> int:
        """How many tenants it keeps account of."""
        return len(self._accounts)

    def take(self, tenant: str, clock: float, today: datetime) -> Refused | None:
        """Count one check of a tenant; a refusal, which is not counted, where it may ask for no more now.

        Args:
            tenant: its name.
            clock: monotonic seconds.
            today: the time of day, with its zone.
        """
        limits = self._quotas.of(tenant)
        if limits.per_second is None and limits.per_day is None:
            return None
        account = self._account(tenant, limits, clock, today)
        if limits.per_day is not None and account.used >= limits.per_day:
            return Refused((account.day + _DAY - today).total_seconds(), of_day=True)
        if limits.per_second is not None:
            if account.tokens < 1.0:
                return Refused((1.0 - account.tokens) / limits.per_second, of_day=False)
            account.tokens -= 1.0
        account.used += 1
        return None

    def _account(self, tenant: str, limits: TenantLimits, clock: float, today: datetime) -> _Account:
        day = today.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        account = self._accounts.get(tenant)
        if account is None:
            self._forget_idle(clock, day)
            account = self._accounts[tenant] = _Account(limits.burst, clock, day)
        if account.day != day:
            account.day, account.used = day, 0
        if limits.per_second is not None:
            gained = max(0.0, clock - account.filled_at) * limits.per_second
            account.tokens = min(max(1.0, limits.burst), account.tokens + gained)
        account.filled_at = clock
        return account

    def _forget_idle(self, clock: float, day: datetime) -> None:
        """An account that is as a new one would be is worth no memory."""
        if len(self._accounts) < self._sweep_at:
            return
        for tenant, account in list(self._accounts.items()):
            limits = self._quotas.of(tenant)
            rate = limits.per_second or 1.0
            full = account.tokens + (clock - account.filled_at) * rate >= limits.burst
            if full and (account.day != day or limits.per_day is None):
                del self._accounts[tenant]
        # Where most must be kept, the next sweep waits for twice as many: else each newcomer would pay.
        self._sweep_at = max(_SWEEP, 2 * len(self._accounts))
