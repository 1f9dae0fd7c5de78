"""Why a rollout is where it is, and what to do about it. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from ostiary_operator.kubectl.rollout import Rollout
from ostiary_operator.kubectl.tree import gateways, way_back
from ostiary_operator.kubectl.words import share, span, step
from ostiary_operator.rollout.arms import whose
from ostiary_operator.rollout.hearing import FOLLOWED

_ASKED = {
    "PauseStep": "to go on: kubectl ostiary promote {0}; to go back: kubectl ostiary abort {0}",
    "Paused": "to go on: kubectl ostiary resume {0}",
    "Inconclusive": "look at the analysis; then kubectl ostiary promote {0}, or kubectl ostiary abort {0}",
    "Error": "look at the analysis; then kubectl ostiary promote {0}, or kubectl ostiary abort {0}",
    "GateFailed": "mend it and name another version, or, if the gate was wrong: kubectl ostiary retry {0}",
    "GateInconclusive": (
        "look at the Job and its pod (kubectl get jobs,pods -l ostiary.dev/gate); delete the Job to have it "
        "run again, or let the version past the gate: kubectl ostiary promote {0} --force"
    ),
    "GateWaiting": (
        "it goes on by itself when there is room; to let the version past the gate: kubectl ostiary promote "
        "{0} --force"
    ),
    "RollbackWouldBeLost": (
        "set warm.versions to 1, or, if no rollback is wanted: kubectl ostiary promote {0} --force"
    ),
    "Aborted": "name another version in versionRef, or try this one again: kubectl ostiary retry {0}",
    "UnknownVersion": "make the ModelVersion, or name another in versionRef",
    "Rollback": "when it shall end: kubectl delete modeloverride {1}",
    "Pin": "when it shall end: kubectl delete modeloverride {1}",
    "Freeze": "when it shall end: kubectl delete modeloverride {1}",
}


def explained(rollout: Rollout) -> list[str]:
    """In sentences: where it is, since when and why, what it waits for, what one could do."""
    return list(_lines(rollout))


def _lines(rollout: Rollout) -> Iterator[str]:
    status = rollout.status
    if not status.conditions:
        yield f"The keeper has not looked at {rollout.name} yet: is it running, and watching this namespace?"
        return
    if status.observed_generation < rollout.generation:
        yield "The spec has changed, and the keeper has not looked since: what follows is of the one before."
    why = rollout.condition("Progressing")
    reason = why.reason if why else ""
    said = f": {why.message}" if why and why.message else ""
    yield f"{rollout.name} is {status.phase} ({reason}){said}."
    if status.candidate is not None:
        yield from _rolling(rollout)
    asked = rollout.condition(FOLLOWED)
    if asked is not None and asked.status != "True":
        yield f"What was asked last: {asked.message}."
    yield from _held_up(rollout)
    yield gateways(rollout).capitalize() + "."
    yield way_back(rollout).capitalize() + "."
    order = rollout.override
    if reason in _ASKED:
        yield "What to do: " + _ASKED[reason].format(rollout.name, order.name if order else "NAME") + "."


def _rolling(rollout: Rollout) -> Iterator[str]:
    status, steps = rollout.status, rollout.spec.strategy.canary.steps
    has = share(rollout.weights.get(status.candidate or "", 0))
    since = span(rollout.now - status.since)
    if status.shadowing:
        yield f"{status.candidate} gets copies only, for {since}."
    elif status.comparing and (ab := rollout.spec.strategy.ab) is not None:
        compared = whose(ab, rollout.spec.model, status.candidate or "")
        yield f"{status.candidate} gets the checks of {compared}, for {since}."
    elif status.step < len(steps):
        here = step(steps[status.step])
        yield f"{status.candidate} has {has} and is at step {status.step + 1} for {since}: {here}."
    else:
        yield f"{status.candidate} has {has} and is promoted, for {since}."


def _held_up(rollout: Rollout) -> Iterator[str]:
    """What the weights wait for."""
    for version in rollout.versions.values():
        waiting = [pod for pod in version.pods if not pod.ready]
        if version.ready < version.replicas:
            says = f" ({waiting[0].name}: {waiting[0].says})" if waiting else ""
            yield f"{version.name} has {version.ready} of {version.replicas} pods ready{says}."
    desired = rollout.status.weights.desired
    if desired and dict(desired) != dict(rollout.weights):
        yield "The route does not say what the keeper wants: is the TrafficRoute written by somebody else?"
