"""Of several keepers one acts: the one that holds the Lease."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from ostiary_operator.cluster.api import Api, ApiFailure, Conflict, NotFound
from ostiary_operator.cluster.kinds import LEASES, Json

_log = structlog.get_logger(__name__)
LEASE = "ostiary-keeper"


@dataclass(frozen=True)
class LeaderTimes:
    """In seconds."""

    holds: float = 15.0
    """Others take the Lease when it was not renewed for so long."""
    acts: float = 9.0
    """For so long after a renewal the keeper acts: a request that it sends then has ended, by its own time
    limit, before anybody else takes over.
    """
    renews: float = 2.0


class NotLeading(Exception):  # noqa: N818  # says how things are
    """Somebody else acts, or may do so soon."""


class Leader:
    """Holds the Lease or waits for it. Clocks of different keepers are never compared: what counts is for how
    long the Lease was seen not to change.
    """

    def __init__(
        self,
        api: Api,
        namespace: str,
        identity: str,
        changed: Callable[[bool], None],
        times: LeaderTimes = LeaderTimes(),
        clock: Callable[[], float] = time.monotonic,
        away: Callable[[], None] = lambda: None,
    ) -> None:
        """`identity`: unlike that of all other keepers. `changed`: told when leading begins and ends; `away`:
        when the API server does not answer.
        """
        self._api = api
        self._namespace = namespace
        self._identity = identity
        self._changed = changed
        self._times = times
        self._clock = clock
        self._away = away
        self._renewed: float | None = None
        self._seen: tuple[str, float] = ("", clock())
        self._told = False

    @property
    def leading(self) -> bool:
        """Whether this keeper may act now."""
        return self._renewed is not None and self._clock() - self._renewed < self._times.acts

    def check(self) -> None:
        """Raises NotLeading where this keeper may not act now."""
        if not self.leading:
            raise NotLeading

    async def run(self) -> None:
        """Hold the Lease, or wait for it, until cancelled; then others need not wait until it has run out."""
        try:
            while True:
                await self._once()
                self._tell()
                await asyncio.sleep(self._times.renews)
        finally:
            await self._release()

    async def _once(self) -> None:
        began = self._clock()
        try:
            lease = await self._api.get(LEASES, self._namespace, LEASE)
            if self._may_take(lease):
                await self._api.replace(LEASES, self._held(lease))
                self._renew(began)
            else:
                self._renewed = None
        except NotFound:
            await self._make(began)
        except ApiFailure as failure:
            # Another was faster, or nobody answers: what was renewed holds as long as it holds.
            if not isinstance(failure, Conflict):
                self._away()
            _log.warning("lease.failed", error=str(failure))

    async def _make(self, began: float) -> None:
        empty = {"metadata": {"name": LEASE, "namespace": self._namespace}, "spec": {}}
        try:
            await self._api.create(LEASES, self._held(empty))
            self._renew(began)
        except ApiFailure as failure:
            _log.warning("lease.failed", error=str(failure))

    def _renew(self, at: float) -> None:
        # Who was not to act for a moment has put off what was due: so that is told, and then the beginning.
        self._tell()
        self._renewed = at

    def _may_take(self, lease: Json) -> bool:
        spec = lease.get("spec") or {}
        state = str(lease["metadata"]["resourceVersion"])
        if state != self._seen[0]:
            self._seen = (state, self._clock())
        holder = spec.get("holderIdentity")
        if not holder or holder == self._identity:
            return True
        holds = float(spec.get("leaseDurationSeconds") or self._times.holds)
        return self._clock() - self._seen[1] > holds

    def _held(self, lease: Json) -> Json:
        spec = lease.get("spec") or {}
        now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        mine = spec.get("holderIdentity") == self._identity
        return {
            **lease,
            "spec": {
                "holderIdentity": self._identity,
                "leaseDurationSeconds": int(self._times.holds),
                "acquireTime": spec["acquireTime"] if mine and "acquireTime" in spec else now,
                "renewTime": now,
                "leaseTransitions": int(spec.get("leaseTransitions") or 0) + (not mine),
            },
        }

    def _tell(self) -> None:
        if self._told != self.leading:
            self._told = self.leading
            _log.info("leading" if self._told else "waiting", identity=self._identity)
            self._changed(self._told)

    async def _release(self) -> None:
        if not self.leading:
            return
        self._renewed = None
        try:
            async with asyncio.timeout(2.0):
                lease = await self._api.get(LEASES, self._namespace, LEASE)
                if (lease.get("spec") or {}).get("holderIdentity") == self._identity:
                    held = self._held(lease)
                    held["spec"]["holderIdentity"] = ""
                    await self._api.replace(LEASES, held)
        except (ApiFailure, TimeoutError) as error:
            _log.warning("lease.not_released", error=str(error) or "no answer")
