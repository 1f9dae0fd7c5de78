"""What the pods of each version would look with, as they last said themselves.

Without this nothing is reused: observations count as those of a version only while its pods say that they
hold the same bundle, detectors and gallery as the one that made them.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import structlog

from ostiary.v1.config_pb2 import Endpoint, RouteVersion, TrafficRoute
from ostiary.v1.inference_pb2 import StatusResponse
from ostiary.wire.errors import OstiaryError
from ostiary_gateway.reuse.fingerprint import Looker
from ostiary_gateway.route_source import RouteSource

_log = structlog.get_logger(__name__)
_Address = tuple[str, str]


class StatusPods(Protocol):
    """Asks pods what they hold."""

    async def status(self, route: TrafficRoute, endpoint: Endpoint, seconds: float) -> StatusResponse:
        """What one pod of `route` says of itself within `seconds`. Raises OstiaryError."""
        ...


@dataclass(frozen=True)
class LookerTimes:
    """When pods are asked, in seconds."""

    interval: float = 2.0
    """Between two questions to a pod."""
    answer: float = 2.0
    """Longest time for its answer."""
    fresh: float = 6.0
    """How long an answer counts."""


@dataclass(frozen=True)
class _Heard:
    """What a pod said looks, None where it does not say; and when, in monotonic seconds."""

    looker: Looker | None
    at: float


class Lookers:
    """Asks every pod of the route what it holds, again and again. For one event loop."""

    def __init__(
        self,
        routes: RouteSource,
        pods: StatusPods,
        *,
        times: LookerTimes = LookerTimes(),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`clock` gives monotonic seconds."""
        self._routes = routes
        self._pods = pods
        self._times = times
        self._clock = clock
        self._heard: dict[_Address, _Heard] = {}
        self._asking: dict[_Address, asyncio.Task[None]] = {}

    def known(self, version: RouteVersion) -> Looker | None:
        """What looks in `version`: all its pods that were heard lately say the same.

        None: none was heard, they differ, or one does not say.
        """
        now = self._clock()
        heard = [self._heard.get(_address(endpoint)) for endpoint in version.endpoints]
        said = {each.looker for each in heard if each and now - each.at < self._times.fresh}
        return said.pop() if len(said) == 1 else None

    def contradicted(self, version: RouteVersion) -> None:
        """Forget what the pods of `version` said: one has answered as another would."""
        for endpoint in version.endpoints:
            self._heard.pop(_address(endpoint), None)

    async def run(self) -> None:
        """Ask until cancelled."""
        try:
            while True:
                self.begin_round()
                await asyncio.sleep(self._times.interval)
        finally:
            asking = list(self._asking.values())
            for task in asking:
                task.cancel()
            await asyncio.gather(*asking, return_exceptions=True)

    def begin_round(self) -> list[asyncio.Task[None]]:
        """Ask each pod that has no question open; a slow one never keeps the others waiting."""
        route = self._routes.route()
        endpoints = {_address(each): each for version in route.versions for each in version.endpoints}
        for gone in self._heard.keys() - endpoints.keys():
            del self._heard[gone]
        return [
            self._begin(route, address, endpoint)
            for address, endpoint in endpoints.items()
            if address not in self._asking
        ]

    def _begin(self, route: TrafficRoute, address: _Address, endpoint: Endpoint) -> asyncio.Task[None]:
        task = asyncio.create_task(self._ask(route, address, endpoint), name=f"looker {endpoint.address}")
        self._asking[address] = task
        task.add_done_callback(lambda _: self._asking.pop(address, None))
        return task

    async def _ask(self, route: TrafficRoute, address: _Address, endpoint: Endpoint) -> None:
        # Of the time of the question: what the pod has taken on since may be something else.
        asked_at = self._clock()
        try:
            status = await self._pods.status(route, endpoint, self._times.answer)
        except OstiaryError:
            self._heard.pop(address, None)  # it would not look now, whatever it said last
            return
        except Exception:  # one pod's trouble is not the others'
            _log.exception("pod's state unknown", pod=endpoint.address)
            return
        self._heard[address] = _Heard(_looker(status), asked_at)


def _address(endpoint: Endpoint) -> _Address:
    return endpoint.address, endpoint.server_name


def _looker(status: StatusResponse) -> Looker | None:
    if not status.bundle.digest:
        return None
    return Looker.of(status.bundle, status.detectors, status.gallery_digest)
