"""JSON schemas as pydantic writes them → structural schemas as Kubernetes wants them: nothing referred to,
one type a place, exclusive bounds as flags.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from pydantic import BaseModel

# What validation needs; titles and defaults of pydantic's own say nothing to whoever reads `kubectl explain`.
_KEPT = (
    "type", "format", "description", "enum", "default", "pattern", "minLength", "maxLength", "minimum",
    "maximum", "minItems", "maxItems", "minProperties", "maxProperties", "required",
)  # fmt: skip
LONGEST_LIST = 100
"""Of lists without a bound of their own: the cost of a rule is estimated by it."""
LONGEST_TEXT = 4096

Rules = Mapping[str, tuple[tuple[str, str], ...]]


def structural(model: type[BaseModel], rules: Rules) -> dict[str, Any]:
    """A model's schema. `rules`: by the name of a class, CEL rules, and what is said where one is broken."""
    schema = model.model_json_schema(by_alias=True, mode="validation")
    return _made(schema, schema.get("$defs", {}), rules)


def _made(schema: Mapping[str, Any], definitions: Mapping[str, Any], rules: Rules) -> dict[str, Any]:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        found = _made(definitions[name], definitions, rules)
        own = ("default", "description")
        return found | {key: _without_nulls(schema[key]) for key in own if key in schema}
    if variants := schema.get("anyOf") or schema.get("oneOf"):
        return _of_variants(
            schema, [one for one in variants if one.get("type") != "null"], definitions, rules
        )
    found = {key: deepcopy(schema[key]) for key in _KEPT if key in schema}
    if "description" in found:
        found["description"] = " ".join(found["description"].split())
    if "const" in schema:
        found["enum"] = [schema["const"]]
    for bound in ("minimum", "maximum"):
        if (exclusive := schema.get(f"exclusive{bound.capitalize()}")) is not None:
            found |= {bound: exclusive, f"exclusive{bound.capitalize()}": True}
    if found.get("type") == "string" and not {"enum", "format", "pattern"} & set(found):
        found.setdefault("maxLength", LONGEST_TEXT)
    if found.get("type") == "array":
        found["items"] = _made(schema["items"], definitions, rules)
        found.setdefault("maxItems", LONGEST_LIST)
    if found.get("type") == "object":
        found |= _of_object(schema, definitions, rules)
    if found.get("default", ...) is None or found.get("format") == "date-time":
        # Null says nothing that leaving the field out does not, and a time in Python is no text.
        found.pop("default", None)
    if "default" in found:
        found["default"] = _without_nulls(found["default"])
    return found


def _without_nulls(default: Any) -> Any:
    if isinstance(default, dict):
        return {key: _without_nulls(value) for key, value in default.items() if value is not None}
    return [_without_nulls(value) for value in default] if isinstance(default, list) else default


def _of_object(schema: Mapping[str, Any], definitions: Mapping[str, Any], rules: Rules) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if properties := schema.get("properties"):
        found["properties"] = {name: _made(one, definitions, rules) for name, one in properties.items()}
    elif isinstance(values := schema.get("additionalProperties"), Mapping):
        found["additionalProperties"] = _made(values, definitions, rules)
    else:
        found["x-kubernetes-preserve-unknown-fields"] = True
    if said := rules.get(schema.get("title", "")):
        found["x-kubernetes-validations"] = [{"rule": rule, "message": message} for rule, message in said]
    return found


def _of_variants(
    schema: Mapping[str, Any],
    variants: list[Mapping[str, Any]],
    definitions: Mapping[str, Any],
    rules: Rules,
) -> dict[str, Any]:
    """One variant, or null: that one. Several kinds of object told apart by a field: all their fields, since
    a structural schema says the type of each field once.
    """
    made = [_made(one, definitions, rules) for one in variants]
    if len(made) == 1:
        found = made[0]
    else:
        fields: dict[str, Any] = {}
        for one in made:
            for name, field in one["properties"].items():
                # The API server would write one kind's default into objects of the others.
                own = {key: value for key, value in field.items() if key != "default"}
                fields[name] = _either(fields[name], own) if name in fields else own
        required = set.intersection(*(set(one.get("required", ())) for one in made))
        found = {"type": "object", "properties": fields, "required": sorted(required)}
    if "description" in schema:
        found["description"] = schema["description"]
    if schema.get("default") is not None:
        found["default"] = _without_nulls(schema["default"])
    return found


def _either(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """What fits both: values of both, and no bound that only one has."""
    both = {key: value for key, value in one.items() if other.get(key) == value}
    if "enum" in one and "enum" in other:
        both["enum"] = sorted({*one["enum"], *other["enum"]})
    return both
