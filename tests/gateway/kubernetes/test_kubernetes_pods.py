"""Pods of versions, from EndpointSlices."""

from typing import Any

import pytest

from ostiary_gateway.kubernetes.pods import pods

Json = dict[str, Any]
LABELS = {
    "ostiary.dev/model": "qwen", "ostiary.dev/version": "v1", "kubernetes.io/service-name": "qwen-v1",
}  # fmt: skip
GRPC = {"name": "grpc", "port": 8543}


def written(
    *endpoints: Json, labels: Json | None = None, ports: list[Json] | None = None, **metadata: Any
) -> Json:
    return {
        "metadata": {"name": "s", "namespace": "shop", "labels": LABELS | (labels or {}), **metadata},
        "ports": [GRPC] if ports is None else ports,
        "endpoints": list(endpoints),
    }


def end(address: str, **conditions: Any) -> Json:
    return {"addresses": [address], "conditions": conditions}


SLICES: dict[str, tuple[list[Json], dict[str, list[str]]]] = {
    "none": ([], {}),
    "ready ones": (
        [written(end("10.0.0.2", ready=True), end("10.0.0.1", ready=True))],
        {"v1": ["10.0.0.1:8543", "10.0.0.2:8543"]},
    ),
    "not ready ones": ([written(end("10.0.0.1", ready=False))], {}),
    "of unknown readiness": ([written(end("10.0.0.1"))], {"v1": ["10.0.0.1:8543"]}),
    "terminating ones that still serve": (
        [written(end("10.0.0.1", ready=False, serving=True, terminating=True))], {},
    ),
    "in two slices, one in both": (
        [written(end("10.0.0.1"), end("10.0.0.2")), written(end("10.0.0.2"), end("10.0.0.3"))],
        {"v1": ["10.0.0.1:8543", "10.0.0.2:8543", "10.0.0.3:8543"]},
    ),
    "IPv6": ([written(end("fd00::1"))], {"v1": ["[fd00::1]:8543"]}),
    "the port called grpc": (
        [written(end("10.0.0.1"), ports=[{"name": "metrics", "port": 9}, GRPC])], {"v1": ["10.0.0.1:8543"]},
    ),
    "the only port": (
        [written(end("10.0.0.1"), ports=[{"name": "", "port": 7}])], {"v1": ["10.0.0.1:7"]},
    ),
    "two other ports": (
        [written(end("10.0.0.1"), ports=[{"name": "a", "port": 1}, {"name": "b", "port": 2}])], {},
    ),
    "no ports": ([written(end("10.0.0.1"), ports=[])], {}),
    "of another model": ([written(end("10.0.0.1"), labels={"ostiary.dev/model": "mini"})], {}),
    "of no version": ([written(end("10.0.0.1"), labels={"ostiary.dev/version": ""})], {}),
    "without labels": ([{"metadata": {"name": "s", "namespace": "shop"}, "endpoints": None}], {}),
}  # fmt: skip


@pytest.mark.parametrize(("slices", "expected"), SLICES.values(), ids=SLICES)
def test_pods_are_those_that_are_ready(slices: list[Json], expected: dict[str, list[str]]) -> None:
    """By version, each once, in order."""
    found = pods(slices, "qwen", "pod")
    assert {version: [each.address for each in ends] for version, ends in found.items()} == expected


@pytest.mark.parametrize(
    ("template", "name"),
    [
        ("{service}.{namespace}.svc", "qwen-v1.shop.svc"),
        ("{version}.{model}.pods.example", "v1.qwen.pods.example"),
        ("pod.example", "pod.example"),
    ],
)
def test_certificates_are_called_as_settings_say(template: str, name: str) -> None:
    """By what is known of the pod."""
    ((endpoint,),) = pods([written(end("10.0.0.1"))], "qwen", template).values()
    assert endpoint.server_name == name
