"""Keeps every pod's gallery that of the registries in force.

Each pod is asked for its digest from time to time, and sent the marks where it has another: after its start,
after a change of the registries; one that comes new, at once, for it is not to be asked before. All this goes
on beside checks and over connections of its own. What a pod refuses, and why a push failed, is kept for
ListGalleries.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog
from google.protobuf.timestamp_pb2 import Timestamp

from ostiary.v1.admin_pb2 import PodGallery
from ostiary.v1.config_pb2 import Endpoint
from ostiary.v1.inference_pb2 import StatusResponse
from ostiary.wire.errors import OstiaryError
from ostiary_gateway.brand_source import BrandSource
from ostiary_gateway.brands.in_force import NO_BRANDS, POLICY, Brands
from ostiary_gateway.pods import GalleryPods, PreparedPods
from ostiary_gateway.pods.key import Key, key_of
from ostiary_gateway.route_source import RouteSource

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class GalleryTimes:
    """When galleries are looked after, in seconds."""

    interval: float = 2.0
    """Between two questions to a pod."""
    new: float = 0.1
    """Between two looks for pods that are new."""
    status: float = 5.0
    """Longest time for its answer."""
    push: float = 120.0
    """Longest time for a push."""
    first_retry: float = 1.0
    """After a push that did not lead to the right digest; doubles with each, up to `last_retry`."""
    last_retry: float = 60.0


@dataclass
class _Kept:
    """What is known of one pod's gallery.

    Attributes:
        digest: as the pod last said; empty: none.
        pushed_at: when it took ours last.
        refused: marks that it refused then.
        problem: why it does not hold ours, in words; empty where nothing stands against it.
        wanted: digest of the gallery that it was last to have.
        tries: pushes of that since the pod last held it.
        not_before: when the next push may be, in monotonic seconds.
    """

    digest: bytes = b""
    pushed_at: datetime | None = None
    refused: tuple[str, ...] = ()
    problem: str = ""
    wanted: bytes = b""
    tries: int = 0
    not_before: float = 0.0


class Galleries:
    """Pushes the registries' marks to the pods of a route. For one event loop."""

    def __init__(
        self,
        routes: RouteSource,
        brands: BrandSource,
        pods: GalleryPods,
        *,
        prepared: PreparedPods | None = None,
        times: GalleryTimes = GalleryTimes(),
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`prepared` is told of each pod that holds the gallery, or cannot; `clock` gives monotonic seconds,
        `now` aware times.
        """
        self._routes = routes
        self._brands = brands
        self._pods = pods
        self._prepared = prepared or PreparedPods()
        self._times = times
        self._clock = clock
        self._now = now
        self._kept: dict[Key, _Kept] = {}
        self._busy: dict[Key, asyncio.Task[None]] = {}
        self._woken = asyncio.Event()
        self._message = (NO_BRANDS.gallery, b"")
        self._serialising = asyncio.Lock()

    async def run(self) -> None:
        """Look after all pods until cancelled."""
        try:
            while True:
                self._woken.clear()
                self.begin_round()
                # Not wait_for, which until Python 3.12 forgets a cancellation that comes as it is woken.
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._times.interval):
                        await self._look_for_new()
        finally:
            self._prepared.end()
            for task in self._busy.values():
                task.cancel()
            await asyncio.gather(*self._busy.values(), return_exceptions=True)

    def wake(self) -> None:
        """Look after all pods now: the registries have changed."""
        self._woken.set()

    def begin_round(self, *, new: bool = False) -> list[asyncio.Task[None]]:
        """Look after each pod that nobody is looking after, or the `new` ones of them; a slow one never keeps
        the others waiting.
        """
        route = self._routes.route()
        endpoints = {key_of(each): each for version in route.versions for each in version.endpoints}
        self._prepared.keep(endpoints.values())
        for gone in self._kept.keys() - endpoints.keys():
            del self._kept[gone]
        self._drop_message()
        return [
            self._begin(address, endpoint)
            for address, endpoint in endpoints.items()
            if address not in self._busy and not (new and address in self._kept)
        ]

    async def _look_for_new(self) -> None:
        """Look after pods that come, until the registries have changed."""
        route = self._routes.route()
        while not self._woken.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(self._times.new):
                    await self._woken.wait()
            if self._routes.route() is not route:
                route = self._routes.route()
                self.begin_round(new=True)

    def held(self) -> list[PodGallery]:
        """What each pod of the route holds, in the order of their addresses."""
        return [_pod_gallery(address, kept) for (address, _), kept in sorted(self._kept.items())]

    def _begin(self, address: Key, endpoint: Endpoint) -> asyncio.Task[None]:
        kept = self._kept.setdefault(address, _Kept())
        task = asyncio.create_task(self._look_after(endpoint, kept), name=f"gallery {endpoint.address}")
        self._busy[address] = task
        task.add_done_callback(lambda _: self._busy.pop(address, None))
        return task

    async def _look_after(self, endpoint: Endpoint, kept: _Kept) -> None:
        before = kept.problem
        try:
            await self._follow(endpoint, kept)
            if kept.wanted != self._brands.brands().gallery:  # the registries changed meanwhile
                await self._follow(endpoint, kept)
        except OstiaryError as error:
            kept.problem = f"{error.reason.value}: {error.message}"
        except Exception as error:  # one pod's trouble is not the others'
            _log.exception("gallery failed", pod=endpoint.address)
            kept.problem = type(error).__name__
        self._prepared.add(endpoint)
        if kept.problem and kept.problem != before and self._brands.brands().by_name:
            _log.warning("pod lacks the gallery", pod=endpoint.address, why=kept.problem)

    async def _follow(self, endpoint: Endpoint, kept: _Kept) -> None:
        status = await self._pods.status(self._routes.route(), endpoint, self._times.status)
        kept.digest = status.gallery_digest
        brands = self._brands.brands()
        if kept.wanted != brands.gallery:
            kept.wanted, kept.tries, kept.not_before = brands.gallery, 0, 0.0
        if kept.digest == brands.gallery or not (kept.digest or brands.by_name):
            kept.problem, kept.tries, kept.not_before = "", 0, 0.0
        elif not _compares(status):
            kept.problem = "no detector of the pod compares with galleries: add `logo` to its bundle"
        elif self._clock() >= kept.not_before:
            await self._push(endpoint, kept, brands)

    async def _push(self, endpoint: Endpoint, kept: _Kept, brands: Brands) -> None:
        times = self._times
        kept.not_before = self._clock() + min(times.last_retry, times.first_retry * 2**kept.tries)
        # Counted until the pod says of itself that it holds the gallery: two gateways with other registries
        # would otherwise push against one another without end.
        kept.tries = min(kept.tries + 1, 32)
        message = await self._serialised(brands)
        answer = await self._pods.put_gallery(self._routes.route(), endpoint, message, times.push)
        kept.digest, kept.refused = answer.digest, tuple(answer.refused)
        if answer.digest != brands.gallery:
            kept.problem = "the pod took the marks and says that it holds others"
            return
        kept.pushed_at, kept.problem = self._now(), ""
        _log.info("pushed gallery", pod=endpoint.address, gallery=answer.digest.hex(), refused=kept.refused)

    async def _serialised(self, brands: Brands) -> bytes:
        async with self._serialising:
            digest, message = self._message
            if digest != brands.gallery or not message:
                message = await asyncio.to_thread(lambda: brands.put_gallery().SerializeToString())
                self._message = brands.gallery, message
            return message

    def _drop_message(self) -> None:
        """Let go of the megabytes once nobody needs them."""
        if not self._busy:
            self._message = NO_BRANDS.gallery, b""


def _compares(status: StatusResponse) -> bool:
    return any(POLICY in detector.policies for detector in status.detectors)


def _pod_gallery(address: str, kept: _Kept) -> PodGallery:
    gallery = PodGallery(address=address, digest=kept.digest, refused=kept.refused, problem=kept.problem)
    if kept.pushed_at is not None:
        pushed_at = Timestamp()
        pushed_at.FromDatetime(kept.pushed_at)
        gallery.pushed_at.CopyFrom(pushed_at)
    return gallery
