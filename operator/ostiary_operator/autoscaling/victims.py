"""Which pods are drained and removed first."""

from __future__ import annotations

from collections.abc import Sequence

from ostiary_operator.autoscaling.inputs import PodSample


def victims(pods: Sequence[PodSample], count: int) -> tuple[str, ...]:
    """Those that are not ready yet, then those with the least work in hand, then the youngest.

    A pod whose work is not known counts as the busiest.
    """
    if count <= 0:
        return ()
    return tuple(pod.name for pod in sorted(pods, key=_order)[:count])


def _order(pod: PodSample) -> tuple[bool, float, float, str]:
    work = float("inf") if pod.outstanding is None else pod.outstanding
    return pod.ready, work if pod.ready else 0.0, -pod.created, pod.name
