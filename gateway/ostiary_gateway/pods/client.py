"""Picks a pod, asks it, and asks another where that may help."""

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Protocol

import grpc
import structlog

from ostiary.v1.config_pb2 import Endpoint, RouteVersion, TrafficRoute
from ostiary.v1.inference_pb2 import (
    InferResponse,
    PutGalleryResponse,
    StatusRequest,
    StatusResponse,
)
from ostiary.v1.inference_pb2_grpc import InferenceServiceStub
from ostiary.wire.channel import open_channel
from ostiary.wire.credentials import CredentialSource
from ostiary.wire.errors import OstiaryError, Reason, from_rpc_error
from ostiary_gateway.pods.ask import Ask
from ostiary_gateway.pods.budget import RetryBudget
from ostiary_gateway.pods.ejection import Ejections
from ostiary_gateway.pods.key import Key, key_of
from ostiary_gateway.pods.prepared import PreparedPods

if TYPE_CHECKING:
    from ostiary.v1.inference_pb2_grpc import InferenceServiceAsyncStub

_log = structlog.get_logger(__name__)
_MIB = 1024 * 1024
# Eight images of 25 MB, and as many canonical ones on the way back.
_MAX_MESSAGE_BYTES = 256 * _MIB
# An input that kills its pod must not be handed to all of them.
_MAX_ATTEMPTS = 3
_CLOSE_GRACE = 120.0
_INFER = "/ostiary.v1.InferenceService/Infer"
_PUT_GALLERY = "/ostiary.v1.InferenceService/PutGallery"
# Calls that wait for one pod: beyond, it is as good as down, and another must take them.
_MAX_OUTSTANDING = 256
_DOWN = {Reason.UNAVAILABLE, Reason.POD_UNAVAILABLE, Reason.SERVER_CERTIFICATE, Reason.CLIENT_CERTIFICATE}
# Another pod may have room where this one is down or full.
_TRY_ANOTHER = {*_DOWN, Reason.OVERLOADED}
# A pod that ends calls like this may well do so with the next: enough of them eject it.
_SUSPECT = {*_DOWN, Reason.INTERNAL, Reason.DEADLINE_EXPIRED}


class Pods(Protocol):
    """Looks at a check on one of a version's pods."""

    async def infer(
        self, route: TrafficRoute, version: RouteVersion, ask: Ask, seconds: float
    ) -> InferResponse:
        """What a pod of `version`, one of `route`'s, saw within `seconds`.

        Raises:
            OstiaryError: POD_UNAVAILABLE: no pod answered in time, or the one that looked failed. OVERLOADED:
                those that were asked, or all there are, have no room now.
        """
        ...


class GalleryPods(Protocol):
    """Keeps the galleries of a route's pods."""

    async def status(self, route: TrafficRoute, endpoint: Endpoint, seconds: float) -> StatusResponse:
        """What one pod of `route` says of itself within `seconds`.

        Raises:
            OstiaryError: as the pod has it; UNAVAILABLE where it cannot be reached.
        """
        ...

    async def put_gallery(
        self, route: TrafficRoute, endpoint: Endpoint, request: bytes, seconds: float
    ) -> PutGalleryResponse:
        """Make a gallery one pod's; `request` is a serialised PutGalleryRequest.

        Raises:
            OstiaryError: as `status`; TOO_LARGE where the pod takes no message of that size.
        """
        ...


@dataclass
class _Pod:
    """One endpoint, the channel to it, and how many calls wait for it."""

    endpoint: Endpoint
    channel: grpc.aio.Channel
    stub: "InferenceServiceAsyncStub"
    infer: grpc.aio.UnaryUnaryMultiCallable[bytes, InferResponse]
    generation: int
    outstanding: int = 0


class PodClient:
    """Picks the less busy of two pods that can be reached, and tries another where one fails.

    For one event loop.
    """

    def __init__(
        self,
        credentials: CredentialSource,
        rng: random.Random,
        clock: Callable[[], float] = time.monotonic,
        prepared: PreparedPods | None = None,
    ) -> None:
        """`credentials` are shown to pods; `rng` draws the two; `clock` gives monotonic seconds; others than
        `prepared` pods are asked where none of those has room.
        """
        self._credentials = credentials
        self._rng = rng
        self._clock = clock
        self._pods: dict[Key, _Pod] = {}
        self._route: TrafficRoute | None = None
        self._prepared = prepared or PreparedPods()
        self._ejections = Ejections()
        self._budget = RetryBudget()
        self._closing: set[asyncio.Task[None]] = set()

    async def infer(
        self, route: TrafficRoute, version: RouteVersion, ask: Ask, seconds: float
    ) -> InferResponse:
        """See `Pods.infer`."""
        self._follow(route)
        deadline = self._clock() + seconds
        untried = self._available(version)
        failure: OstiaryError | None = None
        self._budget.call(self._clock())
        for attempt in range(_MAX_ATTEMPTS):
            left = deadline - self._clock()
            if left <= 0:
                failure = failure or OstiaryError(Reason.DEADLINE_EXPIRED, "no time was left to ask")
                break
            pod = self._pick(untried)
            if pod is None or (attempt and not self._budget.retry(self._clock())):
                break
            untried.remove(pod.endpoint)
            try:
                return await self._call(pod, ask, left)
            except grpc.RpcError as error:
                failure = self._judge(pod, error)
            if failure.reason not in _TRY_ANOTHER:
                break
        raise _nobody(version, failure)

    def _available(self, version: RouteVersion) -> list[Endpoint]:
        """The version's pods without those that are left alone for a while."""
        by_key = {key_of(endpoint): endpoint for endpoint in version.endpoints}
        return [by_key[key] for key in self._ejections.available(list(by_key), self._clock())]

    def _judge(self, pod: _Pod, error: grpc.RpcError) -> OstiaryError:
        """What a failed call says, and what it means for the pod."""
        failure = from_rpc_error(error)
        _log.warning("pod failed", pod=pod.endpoint.address, reason=failure.reason, error=failure.message)
        if failure.reason in _SUSPECT and self._ejections.failed(key_of(pod.endpoint), self._clock()):
            _log.warning("pod ejected", pod=pod.endpoint.address)
        return failure

    async def status(self, route: TrafficRoute, endpoint: Endpoint, seconds: float) -> StatusResponse:
        """See `GalleryPods.status`."""
        self._follow(route)
        try:
            return await self._pod(endpoint).stub.Status(StatusRequest(), timeout=seconds)
        except grpc.RpcError as error:
            raise from_rpc_error(error) from error

    async def put_gallery(
        self, route: TrafficRoute, endpoint: Endpoint, request: bytes, seconds: float
    ) -> PutGalleryResponse:
        """See `GalleryPods.put_gallery`."""
        self._follow(route)
        # Serialised once for all pods, and off the event loop: a gallery may have two hundred megabytes.
        put: grpc.aio.UnaryUnaryMultiCallable[bytes, PutGalleryResponse] = self._pod(
            endpoint
        ).channel.unary_unary(_PUT_GALLERY, response_deserializer=PutGalleryResponse.FromString)
        try:
            return await put(request, timeout=seconds)
        except grpc.RpcError as error:
            raise from_rpc_error(error) from error

    async def close(self) -> None:
        """Close all channels; calls on them are cancelled."""
        pods, self._pods = list(self._pods.values()), {}
        await asyncio.gather(*(pod.channel.close() for pod in pods))
        for task in self._closing:
            task.cancel()
        await asyncio.gather(*self._closing, return_exceptions=True)

    def _follow(self, route: TrafficRoute) -> None:
        """Close the channels to pods that a new route does not name, once their calls have ended."""
        if route is self._route:
            return
        self._route = route
        endpoints = [endpoint for version in route.versions for endpoint in version.endpoints]
        kept = {key_of(endpoint) for endpoint in endpoints}
        self._ejections.keep(kept)
        for key in self._pods.keys() - kept:
            self._retire(self._pods.pop(key))

    def _pick(self, endpoints: Sequence[Endpoint]) -> _Pod | None:
        """The less busy of two pods drawn at random: near the best choice, without a herd running to it.

        Those that are connected are drawn first: a pod that is down has no calls in hand, and would attract
        them all. None: all are as busy as they may be, or there are none.
        """
        free = [endpoint for endpoint in endpoints if self._outstanding(endpoint) < _MAX_OUTSTANDING]
        free = list(self._prepared.among(free)) or free
        shuffled = self._rng.sample(free, len(free))
        drawn = list(islice(filter(self._connected, shuffled), 2)) or shuffled[:2]
        return min((self._pod(endpoint) for endpoint in drawn), key=lambda pod: pod.outstanding, default=None)

    def _connected(self, endpoint: Endpoint) -> bool:
        """Whether a call would find a connection; where there is none, one is sought from now on."""
        state = self._pod(endpoint).channel.get_state(try_to_connect=True)
        return state is grpc.ChannelConnectivity.READY

    def _outstanding(self, endpoint: Endpoint) -> int:
        """Calls that wait for a pod; it needs no channel yet for that to be none."""
        pod = self._pods.get(key_of(endpoint))
        return pod.outstanding if pod else 0

    def _pod(self, endpoint: Endpoint) -> _Pod:
        key = key_of(endpoint)
        pod = self._pods.get(key)
        generation = self._credentials.generation
        if pod is not None and pod.generation == generation:
            return pod
        if pod is not None:
            # A channel cannot change its certificate: calls under way end on the old one.
            self._retire(pod)
        channel = open_channel(
            endpoint.address,
            self._credentials,
            server_name=endpoint.server_name or None,
            max_receive_bytes=_MAX_MESSAGE_BYTES,
            max_send_bytes=_MAX_MESSAGE_BYTES,
        )
        stub: InferenceServiceAsyncStub = InferenceServiceStub(channel)
        infer: grpc.aio.UnaryUnaryMultiCallable[bytes, InferResponse] = channel.unary_unary(
            _INFER, response_deserializer=InferResponse.FromString
        )
        self._pods[key] = _Pod(endpoint, channel, stub, infer, generation)
        return self._pods[key]

    def _retire(self, pod: _Pod) -> None:
        task = asyncio.create_task(pod.channel.close(_CLOSE_GRACE))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _call(self, pod: _Pod, ask: Ask, seconds: float) -> InferResponse:
        pod.outstanding += 1
        try:
            answer = await pod.infer(ask.encoded(), timeout=seconds)
        finally:
            pod.outstanding -= 1
        self._ejections.succeeded(key_of(pod.endpoint), self._clock())
        return answer


def _nobody(version: RouteVersion, failure: OstiaryError | None) -> OstiaryError:
    """Why no pod of a version looked."""
    if failure is None and version.endpoints:
        failure = OstiaryError(Reason.OVERLOADED, "all pods are as busy as they may be", retry_after=1.0)
    if failure is not None and failure.reason is Reason.OVERLOADED:
        words = f"The pods of version {version.name} have no room: try again later"
        return OstiaryError(Reason.OVERLOADED, words, retry_after=failure.retry_after or 1.0)
    why = failure.reason.value if failure else "it has none"
    return OstiaryError(Reason.POD_UNAVAILABLE, f"no pod of version {version.name} answered ({why})")
