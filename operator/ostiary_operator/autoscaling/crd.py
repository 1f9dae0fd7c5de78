"""The CustomResourceDefinition of GPUAutoscaler, from the spec's own types: `python -m
ostiary_operator.autoscaling.crd > manifests/crds/gpuautoscalers.yaml`.
"""

from __future__ import annotations

import sys
from typing import Any

import yaml

from ostiary_operator.autoscaling.reading import API_VERSION, KIND
from ostiary_operator.autoscaling.spec import AutoscalerSpec

_PLURAL = "gpuautoscalers"
_DROPPED = frozenset({"title", "discriminator", "additionalProperties", "description", "const"})
_RULES = (
    ("!has(self.minReplicas) || self.minReplicas <= self.maxReplicas", "minReplicas: at most maxReplicas"),
    (
        "!has(self.minReplicas) || self.minReplicas > 0 || (has(self.bulkOnly) && self.bulkOnly)",
        "minReplicas: 0 needs bulkOnly: true",
    ),
)
_ANY: dict[str, Any] = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
_CONDITION = {
    "type": "object",
    "required": ["type", "status", "reason", "message", "lastTransitionTime"],
    "properties": {
        "type": {"type": "string"},
        "status": {"type": "string", "enum": ["True", "False", "Unknown"]},
        "reason": {"type": "string"},
        "message": {"type": "string"},
        "observedGeneration": {"type": "integer", "format": "int64"},
        "lastTransitionTime": {"type": "string", "format": "date-time"},
    },
}
_STATUS = {
    "type": "object",
    "properties": {
        "observedGeneration": {"type": "integer", "format": "int64"},
        "currentReplicas": {"type": "integer"},
        "desiredReplicas": {"type": "integer"},
        "lastScaleTime": {"type": "string", "format": "date-time"},
        "conditions": {
            "type": "array",
            "items": _CONDITION,
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["type"],
        },
        "decisions": {"type": "array", "maxItems": 20, "items": _ANY},
    },
}


def definition() -> dict[str, Any]:
    """The definition as the API server takes it."""
    schema = AutoscalerSpec.model_json_schema(by_alias=True)
    spec = _structural(schema, schema.get("$defs", {}))
    spec["x-kubernetes-validations"] = [{"rule": rule, "message": message} for rule, message in _RULES]
    columns = [
        ("TARGET", "string", ".spec.scaleTargetRef.name"),
        ("MIN", "integer", ".spec.minReplicas"),
        ("MAX", "integer", ".spec.maxReplicas"),
        ("REPLICAS", "integer", ".status.currentReplicas"),
        ("DESIRED", "integer", ".status.desiredReplicas"),
        ("MODE", "string", ".spec.mode"),
        ("METRICS", "string", ".status.conditions[?(@.type=='MetricsHealthy')].status"),
        ("AGE", "date", ".metadata.creationTimestamp"),
    ]
    group, version = API_VERSION.split("/")
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{_PLURAL}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {
                "kind": KIND,
                "listKind": f"{KIND}List",
                "plural": _PLURAL,
                "singular": KIND.lower(),
                "shortNames": ["gas"],
                "categories": ["ostiary"],
            },
            "versions": [
                {
                    "name": version,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [
                        {"name": name, "type": kind, "jsonPath": path} for name, kind, path in columns
                    ],
                    "schema": {
                        "openAPIV3Schema": {
                            "type": "object",
                            "required": ["spec"],
                            "properties": {"spec": spec, "status": _STATUS},
                        }
                    },
                }
            ],
        },
    }


def text() -> str:
    """The definition in YAML."""
    return yaml.safe_dump(definition(), sort_keys=False, width=110)


def _structural(schema: Any, parts: dict[str, Any]) -> Any:
    """A JSON schema as the API server takes it: references written out, alternatives merged into one object,
    "or null" as `nullable`.
    """
    if isinstance(schema, list):
        return [_structural(one, parts) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        found = _structural(parts[schema["$ref"].rpartition("/")[2]], parts)
        return {**found, "default": schema["default"]} if "default" in schema else found
    if "anyOf" in schema:
        kept = [one for one in schema["anyOf"] if one != {"type": "null"}]
        found = _structural(kept[0], parts)
        return {**found, "nullable": True} if len(kept) < len(schema["anyOf"]) else found
    if "oneOf" in schema:
        return _merged([_structural(one, parts) for one in schema["oneOf"]])
    return {key: _value(key, value, parts) for key, value in _plain(schema).items()}


def _value(key: str, value: Any, parts: dict[str, Any]) -> Any:
    if key == "properties":
        return {name: _structural(one, parts) for name, one in value.items()}
    return _structural(value, parts) if key in ("items",) else value


def _plain(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema's own keywords, as version 3 of OpenAPI spells them."""
    plain = {key: value for key, value in schema.items() if key not in _DROPPED and key != "$defs"}
    if "const" in schema:
        plain["enum"] = [schema["const"]]
    for exclusive, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if exclusive in plain:
            plain[bound], plain[exclusive] = plain[exclusive], True
    # A default that is null says nothing that leaving the field out does not.
    if plain.get("default", ...) is None:
        del plain["default"]
    return plain


def _merged(kinds: list[dict[str, Any]]) -> dict[str, Any]:
    """One object for several kinds that `type` tells apart: the API server knows no alternatives. What
    belongs to which kind the operator checks.
    """
    properties: dict[str, Any] = {}
    for kind in kinds:
        for name, one in kind["properties"].items():
            if name == "type":
                known = properties.setdefault("type", {"type": "string", "enum": []})
                known["enum"] += one["enum"]
                continue
            # A default of one kind would be written into objects of the others, which do not know the field.
            own = {key: value for key, value in one.items() if key != "default"}
            properties[name] = _widened(properties[name], own) if name in properties else own
    return {"type": "object", "required": ["type"], "properties": properties}


def _widened(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """What both allow: keywords that both have alike."""
    return {key: value for key, value in before.items() if after.get(key) == value}


if __name__ == "__main__":
    sys.stdout.write(text())
