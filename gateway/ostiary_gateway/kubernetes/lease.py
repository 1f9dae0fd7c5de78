"""The gateway's Lease: that it is there, which epoch of each route it has applied, what comes in.

The keeper shuts no pod down before every live gateway has said here that it sends nothing there any more.
"""

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog

from ostiary_gateway.kubernetes.api_server import LEASES, ApiFailure, ApiServer, Json

_log = structlog.get_logger(__name__)
LABEL, COMPONENT = "ostiary.dev/component", "gateway"
ACKED = "ostiary.dev/acked-epochs"
RATES = "ostiary.dev/checks-per-second"
_LEFT_BEHIND = timedelta(hours=1)


@dataclass(frozen=True)
class LeaseTimes:
    """In seconds."""

    holds: int = 15
    """A Lease that was not renewed for so long counts as that of a gateway that is gone."""
    renew: float = 4.0
    retry: float = 0.5
    """After a failure; doubles with each that follows, up to `renew`."""


class AckLease:
    """Renewed all the time, and at once when an epoch was applied. For one event loop."""

    def __init__(
        self,
        server: ApiServer,
        gateway: str,
        checks_per_second: Callable[[], float] = lambda: 0.0,
        times: LeaseTimes = LeaseTimes(),
    ) -> None:
        """
        Args:
            server: where it is written.
            gateway: its name, unlike that of all others in the namespace.
            checks_per_second: that come in here.
            times: when it is written.
        """
        self._server = server
        self._gateway = gateway
        self._checks_per_second = checks_per_second
        self._times = times
        self.name = f"ostiary-gateway-{gateway}"
        self._acked: dict[str, int] = {}
        self._news = asyncio.Event()

    def applied(self, route: str, epoch: int) -> None:
        """Every check from now on takes the route of this epoch."""
        if self._acked.get(route) != epoch:
            self._acked[route] = epoch
            self._news.set()

    async def run(self) -> None:
        """Renew the Lease until cancelled; then it is removed, and so are those of gateways long gone."""
        sweeping = asyncio.create_task(self._sweep(), name="old leases")
        pause, failures = 0.0, 0
        try:
            while True:
                # Not wait_for, which until Python 3.12 forgets a cancellation that comes as it is woken.
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._news.wait()
                self._news.clear()
                try:
                    await self._renew()
                except ApiFailure as failure:
                    wanted = min(self._times.renew, self._times.retry * 2 ** min(failures, 10))
                    failures += 1
                    _log.warning("lease not renewed", lease=self.name, error=str(failure))
                    await asyncio.sleep(max(wanted, failure.retry_after))
                    pause = 0.0
                else:
                    pause, failures = self._times.renew, 0
        finally:
            sweeping.cancel()
            await self._remove()

    async def _renew(self) -> None:
        body = self._body()
        try:
            await self._server.patch(LEASES, self.name, body)
        except ApiFailure as failure:
            if failure.code != 404:
                raise
            made = {**body, "apiVersion": f"{LEASES.group}/{LEASES.version}", "kind": LEASES.kind}
            made["spec"] = {**body["spec"], "acquireTime": body["spec"]["renewTime"]}
            await self._server.create(LEASES, made)

    def _body(self) -> Json:
        rate = round(self._checks_per_second(), 2)
        return {
            "metadata": {
                "name": self.name,
                "labels": {LABEL: COMPONENT},
                "annotations": {
                    ACKED: json.dumps(self._acked, sort_keys=True),
                    RATES: json.dumps(dict.fromkeys(sorted(self._acked), rate)),
                },
            },
            "spec": {
                "holderIdentity": self._gateway,
                "leaseDurationSeconds": self._times.holds,
                "renewTime": datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
            },
        }

    async def _remove(self) -> None:
        """Where the API server does not answer, the Lease runs out by itself."""
        try:
            async with asyncio.timeout(5.0):
                await self._server.delete(LEASES, self.name)
        except (ApiFailure, TimeoutError) as error:
            _log.warning("lease not removed", lease=self.name, error=str(error) or "no answer")

    async def _sweep(self) -> None:
        """A gateway that was killed leaves its Lease behind, and its successor has another name."""
        try:
            found, _ = await self._server.list(LEASES, labelSelector=f"{LABEL}={COMPONENT}")
            for name, lease in found.items():
                if name != self.name and _is_old(lease):
                    await self._server.delete(LEASES, name)
                    _log.info("removed the lease of a gateway that is gone", lease=name)
        except ApiFailure as failure:
            _log.warning("old leases not looked for", error=str(failure))


def _is_old(lease: Json) -> bool:
    renewed = (lease.get("spec") or {}).get("renewTime") or lease["metadata"]["creationTimestamp"]
    return datetime.now(UTC) - datetime.fromisoformat(renewed) > _LEFT_BEHIND
