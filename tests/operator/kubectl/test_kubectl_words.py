"""Rollouts as trees and sentences."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ostiary_operator.kubectl.explain import explained
from ostiary_operator.kubectl.orders import arrived
from ostiary_operator.kubectl.rollout import Gateway, OverrideSeen, Pod, Rollout, VersionSeen
from ostiary_operator.kubectl.tree import tree
from ostiary_operator.kubectl.words import span
from ostiary_operator.resources.conditions import Condition
from ostiary_operator.resources.model_deployment import ModelDeploymentSpec, ModelDeploymentStatus
from ostiary_operator.resources.model_override import ModelOverrideSpec
from ostiary_operator.resources.model_version import ModelVersionStatus

NOW = 1_790_000_000.0


def seen(name: str, replicas: int, ready: int, *pods: Pod) -> VersionSeen:
    return VersionSeen(name, None, ModelVersionStatus(), replicas, ready, pods)


def rollout(reason: str = "Stable", message: str = "v1 serves", **more: Any) -> Rollout:
    """v1 serves with two pods, and two gateways follow."""
    progressing = Condition(type="Progressing", status="False", reason=reason, message=message)
    status = ModelDeploymentStatus(
        observed_generation=3, phase="Healthy", stable="v1", conditions=(progressing,), since=NOW - 90
    )
    found = Rollout(
        name="qwen",
        namespace="shop",
        now=NOW,
        generation=3,
        spec=ModelDeploymentSpec.model_validate({"model": "qwen", "versionRef": {"name": "v1"}}),
        status=status,
        versions={"v1": seen("v1", 2, 2)},
        weights={"v1": 10_000},
        epoch=4,
        gateways=(Gateway("a", 4, 1.0), Gateway("b", 4, 1.0)),
    )
    return replace(found, **more)


FREEZE = OverrideSeen(
    "hold",
    NOW - 60,
    ModelOverrideSpec(target="qwen", order="Freeze", reason="sale", actor="ann", expires_at=NOW + 3600),
)
CASES: dict[str, tuple[Rollout, str]] = {
    "a keeper that has never looked": (
        rollout(status=ModelDeploymentStatus()), "The keeper has not looked at qwen yet",
    ),
    "a new spec": (rollout(generation=4), "the keeper has not looked since"),
    "no gateway": (rollout(gateways=()), "Gateways: none is live; nothing moves"),
    "a gateway that is gone": (
        rollout(gateways=(Gateway("a", 4, 1.0), Gateway("b", 4, 16.0))), "1 of 1 have applied epoch 4",
    ),
    "a gateway that is behind": (
        rollout(gateways=(Gateway("a", 4, 1.0), Gateway("b", 3, 1.0))), "1 of 2 have applied epoch 4; behind",
    ),
    "a pod that does not start": (
        rollout(versions={"v1": seen("v1", 2, 1, Pod("p", False, "ImagePullBackOff"))}),
        "v1 has 1 of 2 pods ready (p: ImagePullBackOff)",
    ),
    "an order": (
        rollout("Freeze", "by ann: sale", overrides=(FREEZE,)), "kubectl delete modeloverride hold",
    ),
    "a gate that proves nothing": (
        rollout("GateInconclusive", "gate replay: 0 of 0 checks"), "kubectl ostiary promote qwen --force",
    ),
    "a gate that was not passed": (
        rollout("GateFailed", "gate goldenSet: top1 0.61"), "name another version",
    ),
    "a gate that waits": (rollout("GateWaiting", "gate capacity"), "it goes on by itself when there is room"),
    "a promotion that would lose the way back": (
        rollout("RollbackWouldBeLost", "warm.versions is 0"), "kubectl ostiary promote qwen --force",
    ),
    "a version there is not": (rollout("UnknownVersion", "v9"), "make the ModelVersion"),
}  # fmt: skip


@pytest.mark.parametrize(("found", "words"), CASES.values(), ids=CASES)
def test_what_holds_a_rollout_up_is_said(found: Rollout, words: str) -> None:
    """And what to do, where something can be done."""
    assert words in "\n".join(explained(found))


def test_a_tree_shows_orders_and_at_most_ten_pods() -> None:
    """Of a hundred pods the rest is counted."""
    pods = [Pod(f"p{index}", True, "Ready") for index in range(100)]
    lines = tree(rollout(versions={"v1": seen("v1", 100, 100, *pods)}, overrides=(FREEZE,)))
    assert sum("pod p" in line for line in lines) == 10
    assert any(line.endswith("… and 90 more pods") for line in lines)
    assert "├─ override hold  Freeze by ann: sale  (ends in 1h)" in lines
    assert lines[-1].startswith("└─ rollback: ")


ARRIVALS: dict[str, tuple[dict[str, Any], bool]] = {
    "there": ({}, True),
    "not all traffic": ({"weights": {"v1": 9000, "v2": 1000}}, False),
    "a gateway behind": ({"gateways": (Gateway("a", 4, 1.0), Gateway("b", 3, 1.0))}, False),
    "one behind that is gone": ({"gateways": (Gateway("a", 4, 1.0), Gateway("b", 3, 99.0))}, True),
    "nobody to say so": ({"gateways": ()}, False),
}


@pytest.mark.parametrize(("more", "expected"), ARRIVALS.values(), ids=ARRIVALS)
def test_a_rollback_is_there_when_every_gateway_says_so(more: dict[str, Any], expected: bool) -> None:
    """Live ones, and at least one."""
    assert arrived(rollout(**more), "v1") is expected


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0s"),
        (59.6, "1m"),
        (200, "3m20s"),
        (7500, "2h5m"),
        (47 * 3600, "47h"),
        (345_600, "4d"),
        (-5, "0s"),
    ],
)
def test_spans_have_two_units_at_most(seconds: float, words: str) -> None:
    """As people say them."""
    assert span(seconds) == words
