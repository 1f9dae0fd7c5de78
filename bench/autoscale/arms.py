"""The policies under measurement: each with its main knob, and the settings that are tuned beside it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bench.autoscale.capacity import PodModel
from bench.autoscale.policies.apa import Apa
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
    """One policy. `knob`: what is swept, in words; `setting`: what is tuned beside it, in words."""

    name: str
    knob: str
    knobs: tuple[float, ...]
    setting: str
    settings: tuple[int, ...]
    make: Make


ARMS = (
    Arm(
        OURS,
        "target of demand over capacity; GPU utilisation through the profile beside it",
        (0.12, 0.22, 0.4, 0.6, 0.8, 0.95),
        "none: windows follow from the cold start",
        (0,),
        lambda pod, knob, _: Ours(knob, pod),
    ),
    Arm(
        "HPA on GPU utilisation",
        "target utilisation",
        (0.15, 0.3, 0.45, 0.6, 0.75, 0.9, 0.98),
        "scaleDown window, s",
        (300, 60),
        lambda pod, knob, window: Hpa(knob, window),
    ),
    Arm(
        "KEDA on arrivals",
        "arrivals a second for each pod, of its best",
        (0.12, 0.22, 0.4, 0.5, 0.6, 0.7, 0.8, 0.95),
        "scaleDown window, s",
        (300, 60),
        lambda pod, knob, window: Keda(knob * pod.best, window),
    ),
    Arm(
        "Knative KPA",
        "concurrency for each pod",
        (0.5, 1.0, 1.5, 2.0, 4.0, 8.0, 16.0),
        "scale-down delay, s",
        (0, 60, 300),
        lambda pod, knob, delay: Kpa(knob, 60, delay),
    ),
    Arm(
        "AIBrix APA",
        "running requests for each pod",
        (0.5, 1.0, 1.5, 2.0, 4.0, 8.0, 16.0),
        "scale-down delay, s",
        (300, 60),
        lambda pod, knob, delay: Apa(knob, 60, delay),
    ),
    Arm(
        "saturation",
        "share of the cache from which on a pod is saturated",
        (0.12, 0.15, 0.2, 0.3, 0.45, 0.6, 0.8),
        "seconds between decisions",
        (60, 15),
        lambda pod, knob, every: Saturation(knob, every, pod.most),
    ),
)
