"""The policies under measurement: each with its main knob, and the settings that are tuned beside it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bench.autoscale.capacity import PodModel
from bench.autoscale.knobs import LEAST, Knobs
from bench.autoscale.policies.apa import Apa
from bench.autoscale.policies.floored import Floored
from bench.autoscale.policies.hpa import Hpa
from bench.autoscale.policies.keda import Keda
from bench.autoscale.policies.kpa import Kpa
from bench.autoscale.policies.ours import Ours
from bench.autoscale.policies.saturation import Saturation
from bench.autoscale.simulator import Policy

OURS = "ours"
Make = Callable[[PodModel, float, int], Policy]
"""Pod model, main knob, setting → the policy."""


@dataclass(frozen=True)
class Arm:
    """One policy.

    Attributes:
        name: of the policy.
        knob: what is swept, in words.
        knobs: the values that are swept with a single pod as the fewest.
        tight: of them, those that are tried where more pods are the fewest: these are the room then.
        setting: what is tuned beside it, in words.
        settings: the values that are tuned.
        make: makes it.
        least: the fewest pods that are swept.
    """

    name: str
    knob: str
    knobs: tuple[float, ...]
    tight: tuple[float, ...]
    setting: str
    settings: tuple[int, ...]
    make: Make
    least: tuple[int, ...] = LEAST

    def sweep(self, tight: float) -> list[Knobs]:
        """All that is swept."""
        return [*map(Knobs, self.knobs), *(Knobs(tight, least) for least in self.least)]

    def policy(self, pod: PodModel, knobs: Knobs, setting: int) -> Policy:
        """The policy with one setting."""
        return Floored(self.make(pod, knobs.main, setting), knobs.least)


ARMS = (
    Arm(
        OURS,
        "target of demand over capacity",
        (0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.97),
        (0.9, 0.97),
        "GPU utilisation through the profile beside it",
        (0, 1),
        lambda pod, knob, gpu: Ours(knob, pod, gpu=bool(gpu)),
    ),
    Arm(
        "HPA on GPU utilisation",
        "target utilisation",
        (0.15, 0.3, 0.45, 0.6, 0.75, 0.9, 0.98),
        (0.75, 0.9),
        "scaleDown window, s",
        (300, 60),
        lambda pod, knob, window: Hpa(knob, window),
    ),
    Arm(
        "KEDA on arrivals",
        "arrivals a second for each pod, of its best",
        (0.12, 0.22, 0.4, 0.5, 0.6, 0.7, 0.8, 0.95),
        (0.8, 0.95),
        "scaleDown window, s",
        (300, 60),
        lambda pod, knob, window: Keda(knob * pod.best, window),
    ),
    Arm(
        "Knative KPA",
        "concurrency for each pod",
        (0.5, 1.0, 1.5, 2.0, 4.0, 8.0, 16.0),
        (4.0, 8.0, 16.0),
        "scale-down delay, s",
        (0, 60, 300),
        lambda pod, knob, delay: Kpa(knob, 60, delay),
    ),
    Arm(
        "AIBrix APA",
        "running requests for each pod",
        (0.5, 1.0, 1.5, 2.0, 4.0, 8.0, 16.0),
        (4.0, 8.0, 16.0),
        "scale-down delay, s",
        (300, 60),
        lambda pod, knob, delay: Apa(knob, 60, delay),
    ),
    Arm(
        "saturation",
        "share of the cache from which on a pod is saturated",
        (0.12, 0.15, 0.2, 0.3, 0.45, 0.6, 0.8),
        (0.3, 0.45, 0.6),
        "seconds between decisions",
        (60, 15),
        lambda pod, knob, every: Saturation(knob, every, pod.most),
    ),
)
