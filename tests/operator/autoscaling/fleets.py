"""Specs, pods and gateways for the autoscaler's tests, and a clock that tests move themselves."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from ostiary_operator.autoscaling.decide import decide
from ostiary_operator.autoscaling.decision import Decision
from ostiary_operator.autoscaling.inputs import GatewaySample, Inputs, PodSample, Sample
from ostiary_operator.autoscaling.memory import Memory
from ostiary_operator.autoscaling.spec import AutoscalerSpec

GPU = "DCGM_FI_DEV_GPU_UTIL"
SM = "DCGM_FI_PROF_SM_ACTIVE"
START = 1_000_000.0
CAPACITY = {
    "points": [{"concurrency": 1, "checksPerSecond": 5.0}, {"concurrency": 32, "checksPerSecond": 20.0}],
    "coldStartSeconds": 30,
}


def spec(**fields: Any) -> AutoscalerSpec:
    """A spec with everything as it ships, but for the given fields; 20 checks/s a pod, cold start 30 s."""
    stock = {"scaleTargetRef": {"name": "mini-1"}, "maxReplicas": 50, "capacity": CAPACITY}
    return AutoscalerSpec.model_validate({**stock, **fields})


def pods(
    count: int, now: float, busy: float = 50.0, outstanding: float | None = 4.0
) -> tuple[PodSample, ...]:
    """Ready pods, all alike."""
    return tuple(
        PodSample(f"pod-{index}", True, now - 1000.0, {GPU: Sample(busy, now - 1.0)}, "none", outstanding)
        for index in range(count)
    )


@dataclass
class Version:
    """A version under load: arrivals add up, pods do what is decided at once, and decisions remember."""

    spec: AutoscalerSpec
    replicas: int
    rate: float
    now: float = START
    busy: float = 50.0
    arrivals: float = 0.0
    misses: float = 0.0
    queue: tuple[tuple[float, float], ...] = ()
    memory: Memory = field(default_factory=Memory)

    def inputs(self) -> Inputs:
        """What is to be known now."""
        gateway = GatewaySample("gateway-0", self.now, self.arrivals, self.misses, self.queue)
        return Inputs(self.replicas, pods(self.replicas, self.now, self.busy), (gateway,))

    def pass_time(self, seconds: float = 15.0) -> None:
        """Checks arrive meanwhile."""
        self.now += seconds
        self.arrivals += self.rate * seconds

    def decide(self, **changes: Any) -> Decision:
        """A decision on what is known, with some of it changed; carried out."""
        decision = decide(self.spec, replace(self.inputs(), **changes), self.memory, self.now)
        self.memory, self.replicas = decision.memory, decision.desired
        return decision

    def settle(self, ticks: int = 8) -> Decision:
        """Some decisions, one every 15 s."""
        for _ in range(ticks):
            self.pass_time()
            decision = self.decide()
        return decision
