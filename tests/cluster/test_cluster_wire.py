"""The table of Kubernetes' protobuf, and objects on their way through it."""

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostiary_operator.sandbox.api import wire
from ostiary_operator.sandbox.api.resources import BUILT_IN

Json = dict[str, Any]
_NO_PROTOBUF = {"CustomResourceDefinition"}
_OPEN = {"V1FieldsV1", "V1JSONSchemaProps"}
_RENAMED = {"Pod.status.nodeAllocatableResourceClaimStatuses.resources"}
"""Fields of alpha features that have another name in the table's version than in the client's."""


def fields_of(message: str) -> dict[str, str]:
    """Names and types of a message's fields, those of inlined messages among them."""
    made: dict[str, str] = {}
    for name, kind, _ in wire._fields(message).values():
        made |= {name: kind} if name else fields_of(kind)
    return made


def walk(schema: Json, kind: str, path: str) -> list[str]:
    """Fields that a schema has and the table does not."""
    if kind.startswith(("[]", "{}")):
        inner = schema.get("items") if kind.startswith("[]") else schema.get("additionalProperties")
        return walk(inner or {}, kind[2:], path)
    properties = schema.get("properties")
    if "." not in kind or properties is None or schema.get("x-model") in _OPEN:
        return []
    fields = fields_of(kind)
    missing = [
        f"{path}.{name}" for name in properties if name not in fields and name not in ("apiVersion", "kind")
    ]
    for name, inner in properties.items():
        if name in fields:
            missing += walk(inner, fields[name], f"{path}.{name}")
    return missing


@pytest.mark.parametrize(
    "resource",
    [pytest.param(one, id=f"{one.group}/{one.kind}") for one in BUILT_IN if one.kind not in _NO_PROTOBUF],
)
def test_the_table_has_every_field_of_every_kind(resource: Any) -> None:
    """All that the sandbox knows of its own kinds has a number on the wire."""
    assert wire.known(resource.group_version, resource.kind)
    message = wire._message_of(resource.group_version, resource.kind)
    assert set(walk(resource.schema, message, resource.kind)) <= _RENAMED


_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


@given(
    data=st.dictionaries(_TEXTS, st.text(st.characters(exclude_categories=["Cs"])), max_size=5),
    binary=st.dictionaries(_TEXTS, st.binary(max_size=50).map(lambda one: base64.b64encode(one).decode())),
    immutable=st.booleans() | st.none(),
)
def test_maps_come_back_as_they_went(
    data: dict[str, str], binary: dict[str, str], immutable: bool | None
) -> None:
    """Whatever a ConfigMap holds is the same after writing and reading it."""
    obj: Json = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "one"}}
    given_ = {"data": data, "binaryData": binary, "immutable": immutable}
    obj |= {name: value for name, value in given_.items() if value not in ({}, None)}
    if immutable is False:
        obj["immutable"] = False
    assert wire.decode(wire.encode(obj)) == obj


@given(
    replicas=st.integers(-(2**31), 2**31 - 1) | st.none(),
    surge=st.integers(0, 100) | st.sampled_from(["25%", "0%"]),
    seconds=st.integers(0, 4_000_000_000),
    cpu=st.sampled_from(["500m", "2", "1Gi"]),
)
def test_pods_come_back_as_they_went(replicas: int | None, surge: Any, seconds: int, cpu: str) -> None:
    """Pointers to zero, numbers or texts, inlined messages, quantities and times keep what they are."""
    container: Json = {
        "name": "main",
        "resources": {"limits": {"cpu": cpu}},
        "readinessProbe": {"httpGet": {"path": "/", "port": surge}, "initialDelaySeconds": 3},
        "env": [
            {"name": "A", "valueFrom": {"configMapKeyRef": {"name": "one", "key": "a", "optional": False}}}
        ],
    }
    volume = {"name": "scratch", "emptyDir": {}}
    spec: Json = {
        "selector": {"matchLabels": {"a": "b"}},
        "template": {
            "metadata": {"labels": {"a": "b"}},
            "spec": {"containers": [container], "volumes": [volume]},
        },
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge}},
    }
    if replicas is not None:
        spec["replicas"] = replicas
    moment = wire._EPOCH.fromtimestamp(seconds, wire._EPOCH.tzinfo).strftime("%Y-%m-%dT%H:%M:%SZ")
    metadata: Json = {"name": "web", "finalizers": ["a/b", "c/d"]}
    if seconds:
        metadata["creationTimestamp"] = moment
    obj = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}
    assert wire.decode(wire.encode(obj)) == obj


@given(st.binary(max_size=200))
def test_any_bytes_are_an_object_or_an_error(data: bytes) -> None:
    """Nothing that comes breaks the reader."""
    try:
        made = wire.decode(wire.MAGIC + data)
    except wire.WireError:
        return
    assert made["kind"]


def test_fields_that_are_not_known_are_passed_over() -> None:
    """A newer client's fields are dropped, as every reader of protobuf drops them."""
    obj = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "one"}, "data": {"a": "1"}}
    known = wire._written("core.ConfigMap", obj)
    newer = known + wire._field(900, b"more") + wire._number(901 << 3) + wire._number(7)
    head = wire._field(1, b"v1") + wire._field(2, b"ConfigMap")
    assert wire.decode(wire.MAGIC + wire._field(1, head) + wire._field(2, newer)) == obj
