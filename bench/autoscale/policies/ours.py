"""Ours: the operator's own `decide`, lane by lane."""

from __future__ import annotations

import numpy as np

from bench.autoscale.capacity import PodModel
from bench.autoscale.lanes import Ints, Lanes
from bench.autoscale.simulator import DEADLINE, MOST_PODS, Seen
from ostiary_operator.autoscaling.decide import decide
from ostiary_operator.autoscaling.inputs import GatewaySample, Inputs, PodSample, Sample
from ostiary_operator.autoscaling.memory import Memory
from ostiary_operator.autoscaling.spec import AutoscalerSpec, DemandMetric, GpuMetric, ScaleTargetRef

_EPOCH = 1e6
_GPU = "DCGM_FI_DEV_GPU_UTIL"


class Ours:
    """`target`: how full pods are meant to be, of the profile's best; `gpu`: whether GPU utilisation has a
    say.
    """

    def __init__(self, target: float, pod: PodModel, gpu: bool = True, every: int = 15) -> None:
        self.target, self.pod, self.every = target, pod, every
        demand = DemandMetric(target=target)
        self._metrics = (demand, GpuMetric(target=max(target, 0.8))) if gpu else (demand,)

    def start(self, lanes: Lanes, replicas: Ints) -> None:
        """Begin anew, with the profile's cold start and everything else as it ships."""
        specs = {
            int(cold): AutoscalerSpec(
                scale_target_ref=ScaleTargetRef(name="mini"),
                max_replicas=MOST_PODS,
                deadline_seconds=DEADLINE,
                capacity=self.pod.capacity(float(cold)),
                metrics=self._metrics,
            )
            for cold in np.unique(lanes.cold)
        }
        self._specs = [specs[int(cold)] for cold in lanes.cold]
        self._memories = [Memory() for _ in self._specs]

    def decide(self, now: int, seen: Seen) -> Ints:
        """Replicas wanted."""
        arrivals, misses = seen.total("arrivals").tolist(), seen.total("misses").tolist()
        waiting = seen.mean("waiting", 1).tolist()
        busy = np.minimum(seen.mean("busy", 15) * 100.0, 100.0).tolist()
        in_hand = (seen.mean("in_hand", 15) / np.maximum(seen.ready, 1)).tolist()
        ready, unready, current = seen.ready.tolist(), seen.unready.tolist(), seen.current.tolist()
        time = _EPOCH + now
        found = np.empty(len(self._specs), np.int64)
        for lane, (spec, at) in enumerate(zip(self._specs, seen.at.tolist(), strict=True)):
            metrics = {_GPU: Sample(busy[lane], _EPOCH + at)}
            one = PodSample("ready", True, 0.0, metrics, "none", in_hand[lane])
            coming = PodSample("coming", False, time)
            queue = ((DEADLINE / 2.0, waiting[lane]),) if waiting[lane] > 0.0 else ()
            gateway = GatewaySample("gateways", _EPOCH + at, arrivals[lane], misses[lane], queue)
            inputs = Inputs(current[lane], (one,) * ready[lane] + (coming,) * unready[lane], (gateway,))
            decision = decide(spec, inputs, self._memories[lane], time)
            self._memories[lane] = decision.memory
            found[lane] = decision.desired
        return found
