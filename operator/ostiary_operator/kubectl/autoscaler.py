"""Why a version has as many pods as it has: what the keeper wrote into its GPUAutoscaler's status."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from ostiary_operator.autoscaling.explain import lines
from ostiary_operator.kubectl.access import OSTIARY, Cluster
from ostiary_operator.kubectl.failure import Failure
from ostiary_operator.kubectl.seeing import read
from ostiary_operator.kubectl.words import span
from ostiary_operator.resources.gpu_autoscaler import AutoscalerStatus

KINDS = ("gas", "gpuautoscaler", "gpuautoscalers")
"""How kubectl calls them before a slash."""
_SHOWN = 5


async def explained_autoscaler(cluster: Cluster, name: str) -> list[str]:
    """In sentences: how it stands, and the newest decisions.

    Raises:
        Failure: there is none of the name, its status cannot be read, or the cluster does not answer.
    """
    found = await cluster.get(OSTIARY, "gpuautoscalers", name)
    if found is None:
        raise Failure(f"there is no GPUAutoscaler {name} in namespace {cluster.namespace}")
    status = read(AutoscalerStatus, found.get("status") or {}, f"GPUAutoscaler {name}: status")
    return list(explained(name, int(found["metadata"].get("generation", 0)), status, cluster.now()))


def explained(name: str, generation: int, status: AutoscalerStatus, now: float) -> Iterator[str]:
    """The same of what was read. Pure."""
    if not status.conditions:
        yield f"The keeper has not looked at {name} yet: is it running, and watching this namespace?"
        return
    if status.observed_generation < generation:
        yield "The spec has changed, and the keeper has not looked since: what follows is of the one before."
    for one in status.conditions:
        good = one.status == ("False" if one.type == "ScalingLimited" else "True")
        if not good:
            since = span(now - one.last_transition_time)
            yield f"{one.type}={one.status} for {since} ({one.reason}): {one.message}"
    if not status.decisions:
        yield "Nothing has been decided yet."
    for decision in status.decisions[-_SHOWN:]:
        try:
            at = datetime.fromtimestamp(float(decision["at"]), UTC).strftime("%H:%M:%SZ")
            first, *rest = lines(decision)
        except (KeyError, TypeError, ValueError, OverflowError, OSError) as error:
            message = f"GPUAutoscaler {name}: status.decisions: not what a keeper wrote: {error}"
            raise Failure(message) from error
        yield f"{at} {first}"
        yield from rest
