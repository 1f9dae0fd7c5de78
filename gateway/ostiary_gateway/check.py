"""One check, end to end: choose a version, look or take over what was seen, decide, record, answer.

Nothing is answered that is not recorded, and whatever fails on the way becomes a verdict that does not
publish, or an error; never ALLOW.
"""

import asyncio
import hashlib
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property

import structlog

from ostiary.v1.config_pb2 import RouteVersion, TrafficRoute
from ostiary.v1.decision_pb2 import Reuse, Verdict
from ostiary.v1.image_pb2 import ImageFault
from ostiary.v1.inference_pb2 import CanonicalBytes
from ostiary.v1.moderation_pb2 import CheckRequest, CheckResponse, CheckStreamHeader
from ostiary.v1.observation_pb2 import Observations, StageTiming
from ostiary.wire.authorization import Principal
from ostiary.wire.errors import OstiaryError, Reason
from ostiary.wire.telemetry import name_check, trace_id
from ostiary_gateway import answer
from ostiary_gateway.evidence import EvidenceStore, kept
from ostiary_gateway.idempotency import Idempotency
from ostiary_gateway.judgement import Judgement
from ostiary_gateway.offload import offload, quick_to_hash
from ostiary_gateway.pods import Ask, Pods
from ostiary_gateway.policy.decide import UNUSABLE, Decision, Subject, decide
from ostiary_gateway.policy.in_force import PolicyInForce
from ostiary_gateway.policy_source import PolicySource
from ostiary_gateway.received import ReceivedCheck
from ostiary_gateway.recorder import DuplicateKey, NewDecision, Recorder
from ostiary_gateway.request import MAX_IMAGE_BYTES
from ostiary_gateway.reuse import ObservationReuse, Place
from ostiary_gateway.route_source import RouteSource
from ostiary_gateway.routing import BASIS_POINTS, choose, pinned, sticky_point
from ostiary_gateway.shadow import Shadow
from ostiary_gateway.verify import mismatch

_SHORT_TEXT = 1_000  # characters: rules are done with them in a few milliseconds
_log = structlog.get_logger(__name__)


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
    detectors_share: float = 0.25
    """Share of the look's time that is kept for a look without the model, where a cheap tier may stand in."""


@dataclass(frozen=True)
class Seen:
    """What came of looking: observations, or why there are none."""

    observations: Observations | None
    canonical: tuple[CanonicalBytes, ...] = ()
    failure: str = ""
    route_version: str = ""
    timings: list[StageTiming] = field(default_factory=list)
    sent: Ask | None = None
    route: TrafficRoute | None = None
    place: Place | None = None
    reused: Reuse | None = None
    """Whose observations they are, where no pod looked for this check."""
    arm: str = ""
    """Of an A/B, that the caller belongs to."""


@dataclass(frozen=True)
class Judged:
    """What was decided, under which policy, and when."""

    decision: Decision
    subject: Subject
    policy: PolicyInForce
    at: datetime
    seconds: float

    @cached_property
    def judgement(self) -> Judgement:
        """What other versions' are compared with."""
        return Judgement.of(self.decision, self.subject.listing.category)

    def with_others(self, observations: Observations) -> Judgement:
        """What it would have been, had this been seen."""
        subject = replace(self.subject, observations=observations)
        return Judgement.of(decide(subject, self.policy), subject.listing.category)

    @property
    def failed(self) -> bool:
        """Whether something should have been judged, and was not."""
        return self.decision.cheap_tier or any(
            reason.code == "unavailable" for reason in self.decision.hold_reasons
        )


@dataclass(frozen=True)
class Look:
    """What a pod is to look at, and where what it sees may be kept."""

    route: TrafficRoute
    version: RouteVersion
    image_sha256s: Sequence[bytes]
    sent: Ask
    place: Place | None


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
        reuse: ObservationReuse | None = None,
        judged: Callable[[Judgement, str, float, str], None] = lambda judgement, version, seconds, arm: None,
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
        self._reuse = reuse
        self._judged = judged
        self._limits = limits
        self._clock = clock
        self._now = now
        self._idempotency = Idempotency(recorder)

    async def check(self, check_id: str, check: ReceivedCheck, caller: Caller) -> CheckResponse:
        """The recorded answer to `check`.

        Raises:
            OstiaryError: ALREADY_EXISTS where the idempotency key was used with another request;
                OVERLOADED where the pods have no room; STORE_UNAVAILABLE where the decision cannot be
                recorded.
        """
        name_check(check_id)
        request = check.request

        async def work() -> CheckResponse:
            admitted = answer.timing("admit", self._clock() - caller.since)
            route = self._routes.route()
            seen = await self._see(check_id, check, caller, route)
            judged = await self._judge(request, caller.principal.tenant, seen, route.failure_verdict)
            if self._reuse and seen.reused and seen.place and judged.failed:
                # What this policy needs was not seen then: it is looked at again, and not held for it.
                self._reuse.discard(seen.place)
                seen = await self._see(check_id, check, caller, route)
                judged = await self._judge(request, caller.principal.tenant, seen, route.failure_verdict)
            seen.timings.insert(0, admitted)
            return await self._conclude(check_id, check.sha256, request, caller, seen, judged)

        tenant = caller.principal.tenant
        return await self._idempotency.run(tenant, request.idempotency_key, check.sha256, work)

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
            judged = await self._judge(header.request, caller.principal.tenant, seen, Verdict.VERDICT_HOLD)
            return await self._conclude(check_id, digest, header.request, caller, seen, judged)

        tenant = caller.principal.tenant
        return await self._idempotency.run(tenant, header.request.idempotency_key, digest, work)

    async def give_up(self, check_id: str, check: ReceivedCheck, caller: Caller, why: str) -> CheckResponse:
        """The recorded HOLD for a check that cannot be brought to an answer, for people to look at.

        It has no idempotency key: what made it fail may have been that another request had used it.

        Raises:
            OstiaryError: STORE_UNAVAILABLE.
        """
        kept = check.work()
        seen = Seen(None, failure=why)
        judged = await self._judge(kept, caller.principal.tenant, seen, Verdict.VERDICT_HOLD)
        return await self._conclude(check_id, check.sha256, kept, caller, seen, judged)

    async def _see(self, check_id: str, check: ReceivedCheck, caller: Caller, route: TrafficRoute) -> Seen:
        """What there is to decide on: seen of identical work before, or by a pod now."""
        listing = check.request.listing.listing_id
        point = sticky_point(route.name, listing) if listing else self._rng.randrange(BASIS_POINTS)
        tenant = caller.principal.tenant
        version = choose(route, tenant, caller.version_pin, point)
        pin = pinned(route, tenant, caller.version_pin)
        arm = pin.arm if pin is not None else ""
        place = self._reuse.place(tenant, check, version) if self._reuse else None
        if self._reuse and place:
            started = self._clock()
            if taken := await self._reuse.take(place, check_id, check):
                timings = [answer.timing("reuse", self._clock() - started)]
                return Seen(
                    taken.observations,
                    taken.canonical,
                    route_version=version.name,
                    timings=timings,
                    place=place,
                    reused=taken.source,
                    arm=arm,
                )
        look = Look(route, version, check.image_sha256s, Ask(check_id, check.raw), place)
        return replace(await self._look(look, caller), arm=arm)

    async def _look(self, look: Look, caller: Caller) -> Seen:
        """What a pod sees; without the model, where that fails and the policy lets a cheap tier stand in."""
        cheap_tier = self._policies.policy().cheap_tier
        started, seconds = self._clock(), self._look_seconds(caller)
        try:
            kept_back = self._limits.detectors_share if cheap_tier else 0.0
            return await self._ask(look, seconds * (1 - kept_back))
        except OstiaryError as error:
            if error.reason is Reason.OVERLOADED:
                raise  # the caller comes back; a verdict on record would keep the image from being looked at
            failed = Seen(None, failure=error.message, route_version=look.version.name)
        left = started + seconds - self._clock()
        if not cheap_tier or left <= 0:
            return failed
        detectors = replace(look.sent, detectors_only=True)
        try:
            seen = await self._ask(replace(look, sent=detectors), left)
        except OstiaryError:
            return failed  # the first failure says more: why there is no model
        # It is nothing to compare a mirrored version's whole answer with, and nothing to keep.
        return replace(seen, sent=None, place=None)

    async def _ask(self, look: Look, seconds: float) -> Seen:
        """What a pod sees within `seconds`. Raises OstiaryError."""
        started = self._clock()
        found = await self._pods.infer(look.route, look.version, look.sent, seconds)
        timings = [*found.timings, answer.timing("infer", self._clock() - started)]
        # Not by the items' bytes, which to look at is to copy.
        size = sum(item.ByteSize() for item in found.canonical)
        wrong = await offload(quick_to_hash(size), mismatch, look.image_sha256s, found)
        name = look.version.name
        if wrong is not None:
            return Seen(None, failure=f"{UNUSABLE}: {wrong}", route_version=name, timings=timings)
        return Seen(
            found.observations,
            tuple(found.canonical),
            route_version=name,
            timings=timings,
            sent=look.sent,
            route=look.route,
            place=look.place,
        )

    def _look_seconds(self, caller: Caller) -> float:
        remaining = caller.remaining()
        if remaining is None:
            return self._limits.look_seconds
        reserve = min(self._limits.reserve_seconds, remaining / 5)
        return min(self._limits.look_seconds, remaining - reserve)

    async def _judge(
        self, request: CheckRequest, tenant: str, seen: Seen, failure_verdict: Verdict.ValueType
    ) -> Judged:
        """Decide, by what is in force now, wherever the observations come from."""
        started = self._clock()
        policy, now = self._policies.policy(), self._now()
        subject = Subject(
            listing=request.listing,
            image_count=len(request.images),
            observations=seen.observations,
            at=now,
            flags=answer.wanted(request).flags,
            failure_verdict=failure_verdict,
            failure=seen.failure,
            tenant=tenant,
        )
        # Rules over long texts and look-ups among a million hashes take milliseconds that other checks need.
        decision = await offload(_quick_to_decide(subject, policy), decide, subject, policy)
        return Judged(decision, subject, policy, now, self._clock() - started)

    async def _conclude(
        self,
        check_id: str,
        digest: bytes,
        request: CheckRequest,
        caller: Caller,
        seen: Seen,
        judged: Judged,
    ) -> CheckResponse:
        """Keep the evidence, record, answer: in this order."""
        self._copy(seen, judged)
        receipt = answer.receipt(judged.policy, seen.observations, seen.route_version, judged.at)
        receipt.cheap_tier = judged.decision.cheap_tier
        if seen.reused is not None:
            receipt.reused.CopyFrom(seen.reused)
        timings = [*seen.timings, answer.timing("decide", judged.seconds)]
        wants = answer.wanted(request)
        response = answer.build(check_id, wants, judged.decision, seen.observations, receipt, timings)
        tenant = caller.principal.tenant
        await self._keep(check_id, tenant, seen.canonical)
        new = NewDecision(
            check_id=check_id,
            tenant=tenant,
            caller=str(caller.principal.id),
            idempotency_key=request.idempotency_key,
            request_sha256=digest,
            listing=request.listing,
            response=response,
            observations=seen.observations,
            trace_id=trace_id(),
        )
        try:
            recorded = await self._recorder.record(new)
        except DuplicateKey:
            await self._discard(check_id, tenant, seen.canonical)
            raise
        worth_keeping = seen.place and seen.observations and not seen.reused and not judged.failed
        if self._reuse and worth_keeping and seen.place and seen.observations:
            self._reuse.keep(seen.place, tenant, check_id, seen.observations, judged.at)
        self._judged(judged.judgement, seen.route_version, self._clock() - caller.since, seen.arm)
        return recorded

    def _copy(self, seen: Seen, judged: Judged) -> None:
        """Send copies of what a pod has just looked at to mirrored versions."""
        if seen.sent is not None and seen.route is not None:
            self._shadow.copy(
                seen.route,
                seen.route_version,
                seen.sent,
                judged.judgement,
                judged.with_others,
            )

    async def _discard(self, check_id: str, tenant: str, canonical: tuple[CanonicalBytes, ...]) -> None:
        """Another process was first to record the key: what was kept here is of no check on record."""
        for name, _ in kept(canonical):
            try:
                await self._evidence.discard(tenant, check_id, name)
            except OstiaryError as error:
                _log.warning("evidence without a check", check_id=check_id, error=error.message)

    async def _keep(self, check_id: str, tenant: str, canonical: tuple[CanonicalBytes, ...]) -> None:
        puts: list[Awaitable[None]] = [
            self._evidence.put(tenant, check_id, name, data) for name, data in kept(canonical)
        ]
        await asyncio.gather(*puts)


def _quick_to_decide(subject: Subject, policy: PolicyInForce) -> bool:
    """Whether rules and look-ups are done in a few milliseconds."""
    spans = subject.observations.ocr if subject.observations else ()
    characters = len(subject.listing.title) + len(subject.listing.description)
    characters += sum(len(span.text) for span in spans)
    return characters <= _SHORT_TEXT and not policy.lists.by_name
