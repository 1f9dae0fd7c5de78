"""Versions whose number of pods is an autoscaler's: what a rollout still asks for."""

from __future__ import annotations

import pytest

from ostiary_operator.resources.model_deployment import ModelDeploymentSpec, ModelDeploymentStatus
from ostiary_operator.rollout.actions import Scale
from ostiary_operator.rollout.reconcile import reconcile
from ostiary_operator.rollout.snapshot import Gateway, Route, Snapshot, Version

SPEC = ModelDeploymentSpec.model_validate({"model": "qwen", "versionRef": {"name": "v1"}, "replicas": 4})


def snapshot(
    bounds: tuple[int, int] | None, demand: float | None, candidate: str | None = None, replicas: int = 1
) -> Snapshot:
    """v1 serves, of 10 checks/s a pod; a candidate has a tenth."""
    weights = {"v1": 10_000} if candidate is None else {"v1": 9_000, candidate: 1_000}
    versions = {"v1": Version(10.0, 5.0, replicas, replicas, bounds)}
    if candidate is not None:
        versions[candidate] = Version(10.0, 5.0, 1, 1, bounds)
    return Snapshot(
        now=100.0,
        name="qwen",
        generation=1,
        spec=SPEC,
        status=ModelDeploymentStatus(stable="v1", candidate=candidate),
        versions=versions,
        route=Route(1, weights),
        gateways={"gw": Gateway(1, 100.0)},
        demand=demand,
    )


NEEDED = {
    "without an autoscaler: replicas": (None, 0.0, None, 4),
    "without an autoscaler: demand": (None, 75.0, None, 8),
    "serving alone: the least": ((2, 6), 75.0, None, 2),
    "serving alone: none": ((0, 6), 75.0, None, 0),
    "beside a candidate: demand": ((2, 9), 75.0, "v2", 8),
    "beside a candidate: the most": ((2, 6), 75.0, "v2", 6),
    "beside a candidate: at least one": ((0, 6), 0.0, "v2", 1),
    "beside a candidate: demand not known": ((3, 6), None, "v2", 3),
}


@pytest.mark.parametrize(("bounds", "demand", "candidate", "pods"), NEEDED.values(), ids=NEEDED)
def test_pods_that_a_rollout_needs(
    bounds: tuple[int, int] | None, demand: float | None, candidate: str | None, pods: int
) -> None:
    """For all traffic: the autoscaler's bounds stand in the place of replicas, and hold demand."""
    assert snapshot(bounds, demand, candidate).needed("v1", 10_000) == pods


@pytest.mark.parametrize(("bounds", "replicas"), [((0, 6), 0), ((1, 6), 1), ((1, 6), 6)])
def test_an_autoscaled_version_is_left_alone(bounds: tuple[int, int], replicas: int) -> None:
    """Whatever the autoscaler has come to between its bounds, the rollout does not change."""
    plan = reconcile(snapshot(bounds, 30.0, replicas=replicas))
    assert [action for action in plan.actions if isinstance(action, Scale)] == []


def test_shares_do_not_wait_for_replicas_that_nobody_asks_for() -> None:
    """Where demand is not known, the autoscaler's least carries everything, not the spec's replicas."""
    assert snapshot((1, 6), None).carries("v1") == 10_000
    assert snapshot(None, None).carries("v1") == 2_500
