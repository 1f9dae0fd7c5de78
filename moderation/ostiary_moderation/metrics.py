"""What the pod counts. No tenant and no seller stands in an attribute."""

from collections.abc import Callable, Iterable

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from ostiary.v1.observation_pb2 import StageTiming
from ostiary.wire.telemetry.buckets import SECONDS
from ostiary_moderation.engine import Engine
from ostiary_moderation.turns import Turns

SCOPE = "ostiary.moderation"


class PodMetrics:
    """Durations and gauges, under `moderation.*`."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._stages = meter.create_histogram(
            "moderation.stage.duration",
            unit="s",
            description="Time that a check spent in a stage of the pod, by stage",
            explicit_bucket_boundaries_advisory=SECONDS,
        )

    def looked(self, timings: Iterable[StageTiming]) -> None:
        """A check was looked at."""
        for timing in timings:
            self._stages.record(timing.duration.ToNanoseconds() / 1e9, {"stage": timing.stage})

    def watch(self, turns: Turns, engine: Engine) -> None:
        """Report how busy the pod is, for as long as the process lives."""
        for name, what, read in (
            ("queued", "Checks that wait for their turn", lambda: turns.queued),
            ("in_flight", "Checks that are looked at", lambda: turns.in_flight),
            ("images_waiting", "Images that wait for the model", lambda: engine.load().waiting),
            ("descriptions_running", "Descriptions that are written", lambda: engine.load().running),
        ):
            self._meter.create_observable_gauge(
                f"moderation.pod.{name}", [_observing(read)], description=what
            )


def _observing(read: Callable[[], int]) -> Callable[[CallbackOptions], Iterable[Observation]]:
    return lambda _: [Observation(read())]
