"""Messages as structural schemas, beside what the JSON mapping itself writes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.protobuf import json_format
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct

from ostiary.v1 import admin_pb2, moderation_pb2
from ostiary.v1.config_pb2 import BrandRegistry, ModerationPolicy, TrafficRoute
from ostiary_operator.resources.message_kinds import FACETS, MESSAGE_RULES
from ostiary_operator.resources.messages import of_message

KINDS = (TrafficRoute, ModerationPolicy, BrandRegistry)


def filled(kind: type[Message], depth: int = 0) -> Message:
    """A message with something in every field; of a oneof's fields the last one."""
    message = kind()
    for field in kind.DESCRIPTOR.fields:
        values: Any
        if field.message_type is not None and field.message_type.full_name.startswith("ostiary."):
            inner = filled(field.message_type._concrete_class, depth + 1)
            values = inner
        elif field.message_type is not None:
            values = field.message_type._concrete_class(seconds=1_790_000_000, nanos=5_000)
        elif field.enum_type is not None:
            values = field.enum_type.values[-1].number
        else:
            values = {"string": "x", "bytes": b"\x00\xff", "bool": True, "double": 0.5}.get(
                {9: "string", 12: "bytes", 8: "bool", 1: "double"}.get(field.type, ""), 7
            )
        if field.is_repeated:
            getattr(message, field.name).extend([values, values])
        elif isinstance(values, Message):
            getattr(message, field.name).CopyFrom(values)
        else:
            setattr(message, field.name, values)
    return message


def mismatches(schema: dict[str, Any], value: Any, path: str = "") -> list[str]:
    """Where a JSON value has another shape than a schema says."""
    if schema.get("x-kubernetes-int-or-string"):
        return [] if isinstance(value, int | str) else [path]
    kind = {
        "object": dict,
        "array": list,
        "string": str,
        "boolean": bool,
        "integer": int,
        "number": int | float,
    }
    if not isinstance(value, kind[schema["type"]]):
        return [path]
    if isinstance(value, dict):
        unknown = [f"{path}.{name}" for name in value if name not in schema["properties"]]
        known = [(name, one) for name, one in value.items() if name in schema["properties"]]
        return [
            *unknown,
            *(
                bad
                for name, one in known
                for bad in mismatches(schema["properties"][name], one, f"{path}.{name}")
            ),
        ]
    if isinstance(value, list):
        return [bad for one in value for bad in mismatches(schema["items"], one, f"{path}[]")]
    return [path] if "enum" in schema and value not in schema["enum"] else []


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.DESCRIPTOR.name)
def test_the_mapping_fits_the_schema(kind: type[Message]) -> None:
    """All fields of all messages are in the schema, as the mapping names and writes them."""
    schema = of_message(kind.DESCRIPTOR, {}, {}, {})
    assert mismatches(schema, json.loads(json_format.MessageToJson(filled(kind)))) == []


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"epoch": 1.5}, ".epoch"),
        ({"versions": [{"weight": "1"}]}, ".versions[].weight"),
        ({"failure_verdict": "VERDICT_HOLD"}, ".failure_verdict"),
        ({"failureVerdict": 4}, ".failureVerdict"),
    ],
    ids=["fraction", "text", "the proto's name", "an enum's number"],
)
def test_another_shape_does_not_fit(change: dict[str, Any], place: str) -> None:
    """The comparison above can fail."""
    assert mismatches(of_message(TrafficRoute.DESCRIPTOR, {}, {}, {}), change) == [place]


def test_facets_and_rules_name_what_there_is() -> None:
    """A field that is renamed takes its facets along; required fields are written as the mapping has them."""
    messages: dict[str, Any] = {}

    def walk(descriptor: Any) -> None:
        messages[descriptor.name] = descriptor
        for field in descriptor.fields:
            if field.message_type is not None and field.message_type.full_name.startswith("ostiary."):
                walk(field.message_type)

    for kind in KINDS:
        walk(kind.DESCRIPTOR)
    assert set(MESSAGE_RULES) <= set(messages)
    for key, facet in FACETS.items():
        name, _, field = key.partition(".")
        descriptor = messages[name]
        if field:
            assert field in descriptor.fields_by_name, key
        else:
            json_names = {one.json_name for one in descriptor.fields}
            assert set(facet["required"]) <= json_names, key


def test_a_message_that_holds_itself_is_refused() -> None:
    """A structural schema has an end."""
    with pytest.raises(ValueError, match=r"google\.protobuf\.\w+ holds itself"):
        of_message(Struct.DESCRIPTOR, {}, {}, {})


@pytest.mark.parametrize("kind", [moderation_pb2.CheckRequest, admin_pb2.PutHashListRequest])
def test_other_messages_would_do_as_well(kind: type[Message]) -> None:
    """Nothing is said of the three kinds alone."""
    schema = of_message(kind.DESCRIPTOR, {}, {}, {kind.DESCRIPTOR.full_name: "said"})
    assert schema["description"] == "said"
    assert mismatches(schema, json.loads(json_format.MessageToJson(filled(kind)))) == []
