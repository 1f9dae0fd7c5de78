"""What `GPUAutoscaler.spec` holds. Shaped like `autoscaling/v2`, and with its defaults where it has any."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from ostiary_operator.resources.part import Part

GPU_UNITS = {
    "DCGM_FI_DEV_GPU_UTIL": 100.0,
    "DCGM_FI_PROF_SM_ACTIVE": 1.0,
    "DCGM_FI_PROF_GR_ENGINE_ACTIVE": 1.0,
    "DCGM_FI_PROF_DRAM_ACTIVE": 1.0,
}
"""What each metric of the DCGM exporter reads when all of the GPU is in use."""

Share = Annotated[float, Field(gt=0.0, le=1.0)]
Seconds = Annotated[float, Field(ge=0.0, le=86_400.0)]


class ScaleTargetRef(Part):
    """The Deployment of one version. Versions are scaled one by one, each on its own load."""

    api_version: str = "apps/v1"
    kind: Literal["Deployment"] = "Deployment"
    name: str = Field(min_length=1)


class LoadPoint(Part):
    """So many checks a second with so many in a pod's hands at once, as `ostiary model profile` measured
    it.
    """

    concurrency: int = Field(ge=1)
    checks_per_second: float = Field(gt=0.0)


class Capacity(Part):
    """What one pod can do. `cold_start_seconds`: from being asked for to being ready."""

    points: tuple[LoadPoint, ...] = Field(min_length=1)
    cold_start_seconds: Seconds = 60.0

    @model_validator(mode="after")
    def _ascending(self) -> Capacity:
        levels = [point.concurrency for point in self.points]
        if levels != sorted(set(levels)):
            raise ValueError("capacity.points: sort them by concurrency, each once")
        return self

    @cached_property
    def alone(self) -> float:
        """Checks a second with the least measured concurrency: below this a GPU still has pauses."""
        return self.points[0].checks_per_second

    @cached_property
    def best(self) -> float:
        """Checks a second at the best measured concurrency."""
        return max(point.checks_per_second for point in self.points)

    def rate_at(self, concurrency: float) -> float:
        """Checks a second with so many at once, between and beyond the measured points."""
        before = self.points[0]
        if concurrency <= before.concurrency:
            return before.checks_per_second * concurrency / before.concurrency
        for point in self.points[1:]:
            if concurrency <= point.concurrency:
                share = (concurrency - before.concurrency) / (point.concurrency - before.concurrency)
                return before.checks_per_second + share * (point.checks_per_second - before.checks_per_second)
            before = point
        return before.checks_per_second


class DemandMetric(Part):
    """The gateways' arrivals and queue over what pods can carry, when those that are asked for now are ready.

    `target`: how full pods are meant to be; the rest is room for bursts. `sigmas`: at least so much room, in
    standard deviations of what arrives by chance within one deadline; it weighs where pods are few.
    `trend_seconds`: over how long a rise is looked for that goes on until a new pod is ready; 0: none is.
    """

    type: Literal["Demand"] = "Demand"
    target: Share = 0.8
    sigmas: float = Field(default=1.0, ge=0.0, le=6.0)
    trend_seconds: float = Field(default=120.0, ge=0.0, le=3600.0)

    @property
    def name(self) -> str:
        """What explanations call it."""
        return "demand"


class GpuMetric(Part):
    """A metric of the DCGM exporter. `target`: as a share of the whole GPU, whatever the metric's unit is.

    `profiled`: read utilisation through the capacity profile. A GPU is busy long before it is full, since a
    batch of one keeps it as busy as a batch of many; the profile says how much more fits. Without it the
    plain ratio is used, as an HPA does.
    """

    type: Literal["GPU"] = "GPU"
    metric: Literal[
        "DCGM_FI_DEV_GPU_UTIL",
        "DCGM_FI_PROF_SM_ACTIVE",
        "DCGM_FI_PROF_GR_ENGINE_ACTIVE",
        "DCGM_FI_PROF_DRAM_ACTIVE",
    ] = "DCGM_FI_DEV_GPU_UTIL"
    target: Share = 0.8
    profiled: bool = True

    @property
    def name(self) -> str:
        """What explanations call it."""
        return self.metric


class StatusMetric(Part):
    """A figure of the pods' own `Status`. `target`: its average over pods."""

    type: Literal["Status"] = "Status"
    field: Literal["in_flight", "queued", "gpu_utilisation", "sm_active"]
    target: float = Field(gt=0.0)

    @property
    def name(self) -> str:
        """What explanations call it."""
        return f"status.{self.field}"


Metric = Annotated[DemandMetric | GpuMetric | StatusMetric, Field(discriminator="type")]


class Policy(Part):
    """How far a period may go: pods, or per cent of what there was at its start."""

    type: Literal["Pods", "Percent"]
    value: int = Field(gt=0)
    period_seconds: int = Field(gt=0, le=1800)


class ScalingRules(Part):
    """One direction. `stabilization_window_seconds`: None is up: 0; down: 60 s."""

    stabilization_window_seconds: int | None = Field(default=None, ge=0, le=3600)
    select_policy: Literal["Max", "Min", "Disabled"] = "Max"
    policies: tuple[Policy, ...] = ()
    tolerance: float = Field(default=0.1, ge=0.0, le=1.0)


_UP = ScalingRules(
    policies=(
        Policy(type="Percent", value=100, period_seconds=15),
        Policy(type="Pods", value=4, period_seconds=15),
    )
)
_DOWN = ScalingRules(policies=(Policy(type="Percent", value=100, period_seconds=15),))


class Behavior(Part):
    """Both directions, as `behavior` of an HPA."""

    scale_up: ScalingRules = _UP
    scale_down: ScalingRules = _DOWN

    @model_validator(mode="before")
    @classmethod
    def _with_stock_policies(cls, given: Any) -> Any:
        """Rules that name no policies get the stock ones, as with an HPA."""
        if not isinstance(given, dict):
            return given
        filled = dict(given)
        for name, alias, stock in (("scale_up", "scaleUp", _UP), ("scale_down", "scaleDown", _DOWN)):
            key = alias if alias in filled else name
            rules = filled.get(key)
            if isinstance(rules, dict) and not rules.get("policies"):
                filled[key] = {**rules, "policies": [policy.model_dump() for policy in stock.policies]}
        return filled


class Panic(Part):
    """When demand outruns the ready pods so many times over, nothing is taken away for so long."""

    threshold: float = Field(default=2.0, gt=1.0)
    window_seconds: Seconds = 60.0


class Fallback(Part):
    """With no metric to be trusted for so long, at least so many replicas; never fewer than there are."""

    replicas: int = Field(ge=1)
    after_seconds: Seconds = 180.0


class AutoscalerSpec(Part):
    """`GPUAutoscaler.spec`.

    Attributes:
        scale_target_ref: what is scaled.
        min_replicas: fewest; 0 only with `bulk_only`.
        max_replicas: most.
        bulk_only: no caller waits for this version: it may go to zero when idle.
        idle_seconds: without arrivals and queue for so long, a bulk-only version goes to zero.
        deadline_seconds: how long callers wait; queued checks weigh by how much of it is left.
        capacity: what one pod does, of the version's capacity profile.
        metrics: the largest proposal counts.
        behavior: rates, windows and tolerance.
        panic: for bursts.
        fallback: for when metrics are gone.
        metric_max_age_seconds: older samples are stale.
        rate_window_seconds: over how long arrivals are averaged.
        pending_seconds: pods that do not become ready for so much longer than their cold start are stuck:
            no more are asked for.
        quarantine_seconds: a metric that disagrees for so long is set aside.
        mode: `Enforce`, `DryRun` (decide and tell, change nothing) or `Freeze` (keep what there is).
    """

    scale_target_ref: ScaleTargetRef
    min_replicas: int = Field(default=1, ge=0)
    max_replicas: int = Field(ge=1, le=10_000)
    bulk_only: bool = False
    idle_seconds: Seconds = 300.0
    deadline_seconds: float = Field(default=5.0, gt=0.0, le=3600.0)
    capacity: Capacity
    metrics: tuple[Metric, ...] = Field(default=(DemandMetric(), GpuMetric()), min_length=1, max_length=8)
    behavior: Behavior = Behavior()
    panic: Panic = Panic()
    fallback: Fallback | None = None
    metric_max_age_seconds: float = Field(default=60.0, gt=0.0, le=3600.0)
    rate_window_seconds: float = Field(default=30.0, gt=0.0, le=3600.0)
    pending_seconds: Seconds = 600.0
    quarantine_seconds: Seconds = 120.0
    mode: Literal["Enforce", "DryRun", "Freeze"] = "Enforce"

    @model_validator(mode="after")
    def _bounds(self) -> AutoscalerSpec:
        if self.min_replicas > self.max_replicas:
            raise ValueError("minReplicas: at most maxReplicas")
        if self.min_replicas == 0 and not self.bulk_only:
            raise ValueError("minReplicas: 0 needs bulkOnly: true, since callers would wait for a cold start")
        names = [metric.name for metric in self.metrics]
        if len(set(names)) < len(names):
            raise ValueError("metrics: each at most once")
        return self

    @cached_property
    def down_window(self) -> float:
        """Seconds for which the highest recommendation holds on the way down."""
        given = self.behavior.scale_down.stabilization_window_seconds
        return 60.0 if given is None else given

    @cached_property
    def trend_window(self) -> float:
        """Seconds over which a rise of the arrivals is looked for; 0: none is."""
        return max(
            (metric.trend_seconds for metric in self.metrics if isinstance(metric, DemandMetric)), default=0.0
        )

    @cached_property
    def longest_window(self) -> float:
        """Seconds for which recommendations matter."""
        return max(self.up_window, self.down_window)

    @cached_property
    def longest_period(self) -> float:
        """Seconds for which changes matter."""
        rules = (self.behavior.scale_up, self.behavior.scale_down)
        return float(max(policy.period_seconds for rule in rules for policy in rule.policies))

    @cached_property
    def up_window(self) -> float:
        """Seconds for which the lowest recommendation holds on the way up."""
        return self.behavior.scale_up.stabilization_window_seconds or 0
