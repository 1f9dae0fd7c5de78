"""What the keeper knows and what was measured → what a decision about a version looks at. No I/O."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from ostiary_operator.autoscaling.demand import MOST_CHECKS
from ostiary_operator.autoscaling.inputs import GatewaySample, PodSample
from ostiary_operator.autoscaling.spec import AutoscalerSpec
from ostiary_operator.cluster import pods
from ostiary_operator.cluster.kinds import PODS, VERSION, Json, labels
from ostiary_operator.cluster.metering import Measured, PodFigures
from ostiary_operator.cluster.mirror import Mirror
from ostiary_operator.resources.part import WHOLE


def pods_of(mirror: Mirror, namespace: str, model: str, version: str) -> list[Json]:
    """A version's pods that are to stay."""
    return [
        pod
        for _, pod in sorted(mirror.about(PODS, namespace, model).items())
        if labels(pod).get(VERSION) == version and not pod["metadata"].get("deletionTimestamp")
    ]


def pod_sample(pod: Json, figures: PodFigures) -> PodSample:
    """A pod as it is, with what was measured of it."""
    metadata = pod["metadata"]
    return PodSample(
        name=metadata["name"],
        ready=pods.is_ready(pod),
        created=datetime.fromisoformat(metadata["creationTimestamp"]).timestamp(),
        metrics=figures.metrics,
        sharing=figures.sharing,
        outstanding=figures.outstanding,
    )


@dataclass
class Shares:
    """Checks that gateways had no room for name no version: each version is given its share of them, as the
    route has it when they are counted. What was given stays given, so that the sum is a counter.
    """

    _refused: dict[str, float] = field(default_factory=dict)
    _given: dict[str, float] = field(default_factory=dict)

    def samples(
        self, spec: AutoscalerSpec, measured: Measured, share: int, live: int, now: float
    ) -> tuple[GatewaySample, ...]:
        """The gateways. `share`: basis points of the checks that go to the version. `live`: gateways that
        there are; where fewer are measured, some callers are not counted, and a sample that is no number
        says so.
        """
        found = [self._sample(spec, measured, name, share) for name in sorted(measured.gateways)]
        fresh = sum(now - one.at <= spec.metric_max_age_seconds for one in found)
        if measured.gateways and fresh < live:
            unknown = f"{fresh + 1} of {live}, alive by its Lease and unknown to Prometheus"
            found.append(GatewaySample(unknown, now, math.nan))
        return tuple(found)

    def _sample(self, spec: AutoscalerSpec, measured: Measured, name: str, share: int) -> GatewaySample:
        figures, part = measured.gateways[name], share / WHOLE
        waiting = figures.waiting * part
        return GatewaySample(
            name=name,
            at=figures.at,
            arrivals=figures.judged + self._given_of(name, figures.refused, part),
            misses=figures.late,
            queue=((spec.deadline_seconds, waiting),) if waiting else (),
        )

    def _given_of(self, name: str, refused: float, part: float) -> float:
        """What makes no sense is handed on as it is, for the decision to tell, and is not added up."""
        if not 0.0 <= refused <= MOST_CHECKS:
            return refused
        before = self._refused.get(name, refused)
        grown = refused - before if refused >= before else refused
        self._refused[name] = refused
        self._given[name] = self._given.get(name, 0.0) + grown * part
        return self._given[name]


def share_of(weights: Mapping[str, int], mirrors: Mapping[str, int], version: str) -> int:
    """Basis points of the checks that come to a version, copies included."""
    return weights.get(version, 0) + mirrors.get(version, 0)
