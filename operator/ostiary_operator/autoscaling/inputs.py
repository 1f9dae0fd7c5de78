"""What is known when a decision is made, as it was read: nothing in here has been judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Sharing = Literal["none", "mig", "time-slicing"]


@dataclass(frozen=True, slots=True)
class Sample:
    """A figure, and when it was true (seconds since the epoch)."""

    value: float
    at: float


@dataclass(frozen=True, slots=True)
class PodSample:
    """One pod of the version.

    Attributes:
        name: of the pod.
        ready: whether it takes checks.
        created: when it was asked for.
        metrics: samples by the exporter's metric names and by `status.…` names.
        sharing: whether its GPU is cut up or shared, which makes the device's utilisation say nothing.
        outstanding: checks in its hands; None: not known.
    """

    name: str
    ready: bool = True
    created: float = 0.0
    metrics: Mapping[str, Sample] = field(default_factory=dict)
    sharing: Sharing = "none"
    outstanding: float | None = None


@dataclass(frozen=True, slots=True)
class GatewaySample:
    """What one gateway says of this version.

    Attributes:
        name: of the gateway.
        at: when it said so.
        arrivals: checks that came in, ever (a counter).
        misses: checks that missed their deadline, ever (a counter).
        queue: those waiting: (seconds left, how many).
    """

    name: str
    at: float
    arrivals: float
    misses: float = 0.0
    queue: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Inputs:
    """Everything that one decision looks at. `current`: replicas that the Deployment asks for. `floor`: pods
    that a rollout needs of this version for its traffic.
    """

    current: int
    pods: tuple[PodSample, ...] = ()
    gateways: tuple[GatewaySample, ...] = ()
    floor: int = 0

    def document(self) -> dict[str, Any]:
        """As the decision log holds it."""
        return {
            "current": self.current,
            "floor": self.floor,
            "pods": [
                {
                    "name": pod.name,
                    "ready": pod.ready,
                    "created": pod.created,
                    "sharing": pod.sharing,
                    "outstanding": pod.outstanding,
                    "metrics": {name: [sample.value, sample.at] for name, sample in pod.metrics.items()},
                }
                for pod in self.pods
            ],
            "gateways": [
                {
                    "name": gateway.name,
                    "at": gateway.at,
                    "arrivals": gateway.arrivals,
                    "misses": gateway.misses,
                    "queue": [list(pair) for pair in gateway.queue],
                }
                for gateway in self.gateways
            ],
        }

    @staticmethod
    def read(document: Mapping[str, Any]) -> Inputs:
        """The reverse of `document`. Raises KeyError, TypeError or ValueError where it is none."""
        pods = tuple(
            PodSample(
                name=str(pod["name"]),
                ready=bool(pod["ready"]),
                created=float(pod["created"]),
                metrics={
                    name: Sample(float(pair[0]), float(pair[1])) for name, pair in pod["metrics"].items()
                },
                sharing=pod["sharing"],
                outstanding=None if pod["outstanding"] is None else float(pod["outstanding"]),
            )
            for pod in document["pods"]
        )
        gateways = tuple(
            GatewaySample(
                name=str(gateway["name"]),
                at=float(gateway["at"]),
                arrivals=float(gateway["arrivals"]),
                misses=float(gateway["misses"]),
                queue=tuple((float(left), float(count)) for left, count in gateway["queue"]),
            )
            for gateway in document["gateways"]
        )
        return Inputs(int(document["current"]), pods, gateways, int(document.get("floor", 0)))
