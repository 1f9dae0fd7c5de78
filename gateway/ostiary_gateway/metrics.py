"""What the gateway counts. No tenant and no seller stands in an attribute."""

from collections.abc import Callable, Iterable, Mapping

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from ostiary.v1.decision_pb2 import Verdict
from ostiary.wire.errors import Reason
from ostiary.wire.telemetry.buckets import SECONDS
from ostiary_gateway.admission import AdaptiveAdmission
from ostiary_gateway.judgement import Judgement
from ostiary_gateway.reuse import Reused
from ostiary_gateway.reuse.cache import ObservationCache
from ostiary_gateway.shadow import Compared

SCOPE = "ostiary.gateway"
MOST_CATEGORIES = 100
"""Sellers name them: of those that come later each is counted as `other`."""


class GatewayMetrics:
    """Counters and gauges, under `moderation.*`."""

    def __init__(self, meter: Meter, arrived: Callable[[], None] = lambda: None) -> None:
        """`arrived` is called for each check that pods have to carry, or should have had to."""
        self._meter = meter
        self._arrived = arrived
        self._refusals = meter.create_counter(
            "moderation.admission.refusals", description="Checks that were not let in, by reason"
        )
        self._copies = meter.create_counter(
            "moderation.shadow.copies",
            description="Copies for mirrored versions, by version, outcome and category of the listing",
        )
        self._flips = meter.create_counter(
            "moderation.shadow.flips",
            description="Copies that a mirrored version flags and the answer does not, or the other way",
        )
        self._checks = meter.create_counter(
            "moderation.checks", description="Checks that were judged, by verdict and route version"
        )
        self._listings = meter.create_counter(
            "moderation.listings",
            description="Checks that were judged, by category of the listing and route version",
        )
        self._flags = meter.create_counter(
            "moderation.flags",
            description="Checks that were flagged, by label, category of the listing and route version",
        )
        self._categories: set[str] = set()
        self._seconds = meter.create_histogram(
            "moderation.check.duration",
            unit="s",
            description="From a check's arrival to its verdict on record, by verdict and route version",
            explicit_bucket_boundaries_advisory=SECONDS,
        )

        self._reuses = meter.create_counter(
            "moderation.reuse.lookups", description="Checks that looked for identical work, by outcome"
        )

    def refused(self, reason: Reason) -> None:
        """Admission refused a check."""
        if reason is Reason.OVERLOADED:
            self._arrived()
        self._refusals.add(1, {"error.type": reason.value})

    def compared(self, copy: Compared) -> None:
        """A copy has come back, or never went."""
        where = {"version": copy.version, "category": self._counted(copy.category)}
        self._copies.add(1, {**where, "outcome": copy.outcome.value})
        for label in copy.flips:
            self._flips.add(1, {**where, "label": label})

    def judged(self, judgement: Judgement, version: str, seconds: float, arm: str = "") -> None:
        """A check was decided and recorded, `seconds` after it had arrived. `arm`: of an A/B, if any."""
        self._arrived()
        verdict = Verdict.Name(judgement.verdict).removeprefix("VERDICT_")
        of = {"version": version, "arm": arm} if arm else {"version": version}
        attributes = {"verdict": verdict, **of}
        self._checks.add(1, attributes)
        self._seconds.record(seconds, attributes)
        where = {"category": self._counted(judgement.category), **of}
        self._listings.add(1, where)
        for label in judgement.flagged:
            self._flags.add(1, {**where, "label": label})

    def reused(self, outcome: Reused) -> None:
        """A check has looked for identical work."""
        self._reuses.add(1, {"outcome": outcome.value})

    def _counted(self, category: str) -> str:
        """What a category is counted as."""
        if category not in self._categories:
            if len(self._categories) >= MOST_CATEGORIES:
                return "other"
            self._categories.add(category)
        return category

    def watch_cache(self, cache: ObservationCache) -> None:
        """Report how much is kept of what pods saw."""
        for name, what, read in (
            ("entries", "Checks whose observations can be reused", lambda: len(cache)),
            ("bytes", "Bytes that they take", lambda: cache.size),
        ):
            self._meter.create_observable_gauge(
                f"moderation.reuse.{name}", [_observing(read)], description=what
            )

    def watch(self, admission: AdaptiveAdmission) -> None:
        """Report what admission lets in, for as long as the process lives."""
        for name, what, read in (
            ("limit", "Checks that may be in progress", lambda: admission.limit),
            ("in_progress", "Checks in progress", lambda: admission.in_progress),
            ("waiting", "Checks that wait for a place", lambda: admission.waiting),
        ):
            self._meter.create_observable_gauge(
                f"moderation.admission.{name}", [_observing(read)], description=what
            )


class WatchFailures:
    """Lists and watches of a cluster's objects that failed."""

    def __init__(self, meter: Meter) -> None:
        self._count = meter.create_counter(
            "moderation.kubernetes.failures", description="Lists and watches that failed, by what was watched"
        )

    def failed(self, resource: str) -> None:
        """One failed; `resource` is the kind's plural."""
        self._count.add(1, {"resource": resource})


def watch_staleness(meter: Meter, read: Callable[[], Mapping[str, float]]) -> None:
    """Report for how long what is in force may be old, in seconds, by what is watched."""

    def observe(_: CallbackOptions) -> Iterable[Observation]:
        return [Observation(seconds, {"resource": plural}) for plural, seconds in read().items()]

    meter.create_observable_gauge(
        "moderation.kubernetes.stale",
        [observe],
        unit="s",
        description="For how long what is in force of a cluster may be old, by what is watched",
    )


def watch_kms(meter: Meter, unwell_for: Callable[[], float]) -> None:
    """Report for how long the KMS of evidence's keys has not been well, in seconds."""
    meter.create_observable_gauge(
        "moderation.kms.unwell",
        [lambda _: [Observation(unwell_for())]],
        unit="s",
        description="For how long the KMS plug-in has failed; 0 while it is well",
    )


def _observing(read: Callable[[], int]) -> Callable[[CallbackOptions], Iterable[Observation]]:
    return lambda _: [Observation(read())]
