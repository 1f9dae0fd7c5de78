"""One check, end to end: choose a version, look, decide, record, answer.

Nothing is answered that is not recorded, and whatever fails on the way becomes a verdict that does not
publish, or an error; never ALLOW.
"""

import asyncio
import hashlib
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from ostiary.v1.config_pb2 import TrafficRoute
from ostiary.v1.decision_pb2 import Verdict
from ostiary.v1.image_pb2 import ImageFault
from ostiary.v1.inference_pb2 import CanonicalBytes, InferRequest
from ostiary.v1.moderation_pb2 import CheckRequest, CheckResponse, CheckStreamHeader
from ostiary.v1.observation_pb2 import Observations, StageTiming
from ostiary.wire.authorization import Principal
from ostiary.wire.errors import OstiaryError, Reason
from ostiary.wire.telemetry import name_check, trace_id
from ostiary_gateway import answer
from ostiary_gateway.evidence import EvidenceStore
from ostiary_gateway.idempotency import Idempotency
from ostiary_gateway.pods import Pods
from ostiary_gateway.policy.decide import Subject, decide
from ostiary_gateway.policy_source import PolicySource
from ostiary_gateway.recorder import NewDecision, Recorder
from ostiary_gateway.request import MAX_IMAGE_BYTES
from ostiary_gateway.route_source import RouteSource
from ostiary_gateway.routing import BASIS_POINTS, choose, sticky_point
from ostiary_gateway.shadow import Shadow
from ostiary_gateway.verify import mismatch


@dataclass(frozen=True)
class Caller:
    """Who asks.

    Attributes:
        principal: the authorised caller; its tenant is not empty.
        version_pin: value of the `ostiary-version-pin` metadata; may be empty.
        remaining: gives the seconds to the deadline; None where there is none.
        since: when the call came in, on the checker's clock.
    """

    principal: Principal
    version_pin: str
    remaining: Callable[[], float | None]
    since: float


@dataclass(frozen=True)
class CheckLimits:
    """How long things may take."""

    look_seconds: float = 60.0
    """Longest time that a pod gets."""
    reserve_seconds: float = 0.25
    """Kept back from the caller's deadline for deciding and recording; never more than a fifth of it."""


@dataclass(frozen=True)
class Seen:
    """What came of looking: observations, or why there are none."""

    observations: Observations | None
    canonical: tuple[CanonicalBytes, ...] = ()
    failure: str = ""
    route_version: str = ""
    timings: list[StageTiming] = field(default_factory=list)
    sent: InferRequest | None = None
    route: TrafficRoute | None = None


class Checker:
    """The use case behind Check and CheckStream. For one event loop."""

    def __init__(
        self,
        *,
        routes: RouteSource,
        pods: Pods,
        policies: PolicySource,
        recorder: Recorder,
        evidence: EvidenceStore,
        rng: random.Random,
        shadow: Shadow,
        judged: Callable[[Verdict.ValueType, str, float], None] = lambda verdict, version, seconds: None,
        limits: CheckLimits = CheckLimits(),
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._routes = routes
        self._pods = pods
        self._policies = policies
        self._recorder = recorder
        self._evidence = evidence
        self._rng = rng
        self._shadow = shadow
        self._judged = judged
        self._limits = limits
        self._clock = clock
        self._now = now
        self._idempotency = Idempotency(recorder)

    async def check(self, check_id: str, raw: bytes, request: CheckRequest, caller: Caller) -> CheckResponse:
        """The recorded answer to `request`, whose bytes are `raw`.

        Raises:
            OstiaryError: ALREADY_EXISTS where the idempotency key was used with another request;
                OVERLOADED where the pods have no room; STORE_UNAVAILABLE where the decision cannot be
                recorded.
        """
        name_check(check_id)
        digest = await asyncio.to_thread(lambda: hashlib.sha256(raw).digest())

        async def work() -> CheckResponse:
            admitted = answer.timing("admit", self._clock() - caller.since)
            route = self._routes.route()
            seen = await self._look(check_id, raw, request, caller, route)
            seen.timings.insert(0, admitted)
            return await self._conclude(check_id, digest, request, caller, seen, route.failure_verdict)

        tenant = caller.principal.tenant
        return await self._idempotency.run(tenant, request.idempotency_key, digest, work)

    async def refuse_too_large(
        self, check_id: str, header: CheckStreamHeader, caller: Caller
    ) -> CheckResponse:
        """The recorded HOLD for a stream that declares an image above the limit; nothing was looked at.

        Raises:
            OstiaryError: as `check`.
        """
        name_check(check_id)
        digest = hashlib.sha256(header.SerializeToString(deterministic=True)).digest()
        faults = [
            ImageFault(
                image_index=index,
                code="too_large",
                detail=f"The image has {size:,} bytes, at most {MAX_IMAGE_BYTES:,} are allowed.",
            )
            for index, size in enumerate(header.sizes)
            if size > MAX_IMAGE_BYTES
        ]

        async def work() -> CheckResponse:
            seen = Seen(Observations(faults=faults))
            return await self._conclude(check_id, digest, header.request, caller, seen, Verdict.VERDICT_HOLD)

        tenant = caller.principal.tenant
        return await self._idempotency.run(tenant, header.request.idempotency_key, digest, work)

    async def _look(
        self, check_id: str, raw: bytes, request: CheckRequest, caller: Caller, route: TrafficRoute
    ) -> Seen:
        listing = request.listing.listing_id
        point = sticky_point(route.name, listing) if listing else self._rng.randrange(BASIS_POINTS)
        version = choose(route, caller.principal.tenant, caller.version_pin, point)
        started = self._clock()
        try:
            sent = InferRequest(check_id=check_id, check_request=raw)
            found = await self._pods.infer(route, version, sent, self._look_seconds(caller))
        except OstiaryError as error:
            if error.reason is Reason.OVERLOADED:
                raise  # the caller comes back; a verdict on record would keep the image from being looked at
            return Seen(None, failure=error.message, route_version=version.name)
        timings = [*found.timings, answer.timing("infer", self._clock() - started)]
        wrong = await asyncio.to_thread(mismatch, request, found)
        if wrong is not None:
            failure = f"the pod's answer cannot be used: {wrong}"
            return Seen(None, failure=failure, route_version=version.name, timings=timings)
        return Seen(found.observations, tuple(found.canonical), "", version.name, timings, sent, route)

    def _look_seconds(self, caller: Caller) -> float:
        remaining = caller.remaining()
        if remaining is None:
            return self._limits.look_seconds
        reserve = min(self._limits.reserve_seconds, remaining / 5)
        return min(self._limits.look_seconds, remaining - reserve)

    async def _conclude(
        self,
        check_id: str,
        digest: bytes,
        request: CheckRequest,
        caller: Caller,
        seen: Seen,
        failure_verdict: Verdict.ValueType,
    ) -> CheckResponse:
        """Decide, keep the evidence, record, answer: in this order."""
        started = self._clock()
        policy, now = self._policies.policy(), self._now()
        wants = answer.wanted(request)
        subject = Subject(
            listing=request.listing,
            image_count=len(request.images),
            observations=seen.observations,
            at=now,
            flags=wants.flags,
            failure_verdict=failure_verdict,
            failure=seen.failure,
        )
        # Rules over long texts and look-ups among a million hashes take milliseconds that other checks need.
        decision = await asyncio.to_thread(decide, subject, policy)
        if seen.sent is not None and seen.route is not None:
            self._shadow.copy(
                seen.route,
                seen.route_version,
                seen.sent,
                decision.verdict,
                lambda other: decide(replace(subject, observations=other), policy).verdict,
            )
        receipt = answer.receipt(policy, seen.observations, seen.route_version, now)
        timings = [*seen.timings, answer.timing("decide", self._clock() - started)]
        response = answer.build(check_id, wants, decision, seen.observations, receipt, timings)
        await self._keep(check_id, caller.principal.tenant, seen.canonical)
        recorded = await self._recorder.record(
            NewDecision(
                check_id=check_id,
                tenant=caller.principal.tenant,
                caller=str(caller.principal.id),
                idempotency_key=request.idempotency_key,
                request_sha256=digest,
                listing=request.listing,
                response=response,
                observations=seen.observations,
                trace_id=trace_id(),
            )
        )
        self._judged(recorded.verdict, seen.route_version, self._clock() - caller.since)
        return recorded

    async def _keep(self, check_id: str, tenant: str, canonical: tuple[CanonicalBytes, ...]) -> None:
        puts: list[Awaitable[None]] = [
            self._evidence.put(tenant, check_id, evidence_name(item.image_index), item.data)
            for item in canonical
        ]
        await asyncio.gather(*puts)


def evidence_name(image_index: int) -> str:
    """Name of the canonical bytes of an image in the evidence store."""
    return f"canonical-{image_index}"
