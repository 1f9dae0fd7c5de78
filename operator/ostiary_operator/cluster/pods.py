"""What pods say: whether they are ready, and how long they took to load. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from ostiary_operator.cluster.kinds import Json


def is_ready(pod: Json) -> bool:
    """Whether it answers, and is to stay."""
    return _condition(pod, "Ready").get("status") == "True" and not pod["metadata"].get("deletionTimestamp")


def loading(pods: Iterable[Json]) -> tuple[float, float] | None:
    """Seconds that pods took to load: the median and the slow end (95th percentile); None without any."""
    known = sorted(seconds for pod in pods if (seconds := _load_seconds(pod)) is not None)
    if not known:
        return None
    return known[(len(known) - 1) // 2], known[min(len(known) - 1, len(known) * 95 // 100)]


def _load_seconds(pod: Json) -> float | None:
    """From its being scheduled to its being ready; None where that cannot be told.

    A container that was started again became ready for another reason than that it was new.
    """
    ready, scheduled = _condition(pod, "Ready"), _condition(pod, "PodScheduled")
    containers = (pod.get("status") or {}).get("containerStatuses") or ()
    again = any(one.get("restartCount") for one in containers)
    if again or ready.get("status") != "True" or scheduled.get("status") != "True":
        return None
    try:
        began, ended = (datetime.fromisoformat(one["lastTransitionTime"]) for one in (scheduled, ready))
    except (KeyError, ValueError):
        return None
    return max(0.0, (ended - began).total_seconds())


def _condition(pod: Json, type_: str) -> Json:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return next((one for one in conditions if one.get("type") == type_), {})
