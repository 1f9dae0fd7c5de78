"""Rollouts and forecasts as JSON, for scripts. Pure."""

from __future__ import annotations

from typing import Any

from ostiary_operator.kubectl.rollout import Rollout
from ostiary_operator.kubectl.simulate import Forecast
from ostiary_operator.kubectl.tree import role

Json = dict[str, Any]


def of_rollout(rollout: Rollout) -> Json:
    """What `get` shows."""
    status, order = rollout.status, rollout.override
    return {
        "name": rollout.name,
        "namespace": rollout.namespace,
        "phase": status.phase,
        "seen": status.observed_generation >= rollout.generation,
        "stable": status.stable,
        "candidate": status.candidate,
        "step": status.step,
        "steps": len(rollout.spec.strategy.canary.steps),
        "weights": dict(rollout.weights),
        "epoch": rollout.epoch,
        "versions": [
            {
                "name": one.name,
                "role": role(rollout, one.name),
                "weight": rollout.weights.get(one.name, 0),
                "replicas": one.replicas,
                "ready": one.ready,
                "pods": [{"name": pod.name, "ready": pod.ready, "says": pod.says} for pod in one.pods],
            }
            for one in rollout.versions.values()
        ],
        "gateways": [{"name": one.name, "epoch": one.epoch, "live": one.live} for one in rollout.gateways],
        "override": {"name": order.name, **order.spec.model_dump(mode="json", by_alias=True)}
        if order
        else None,
        "rollbackReady": status.rollback_ready.model_dump(by_alias=True) if status.rollback_ready else None,
        "conditions": [one.model_dump(mode="json", by_alias=True) for one in status.conditions],
    }


def of_forecast(forecast: Forecast) -> Json:
    """What `simulate` shows."""
    now, most, after = forecast.gpus
    return {
        "seconds": forecast.seconds,
        "arrived": forecast.arrived,
        "gpus": {"now": now, "peak": most, "after": after},
        "moments": [
            {
                "at": one.at,
                "what": one.what,
                "weights": dict(one.weights),
                "pods": dict(one.pods),
                "gpus": one.gpus,
            }
            for one in forecast.moments
        ],
        "notes": list(forecast.notes),
    }
