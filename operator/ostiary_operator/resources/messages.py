"""Messages of `ostiary.v1` → structural schemas, in the shape of their proto3 JSON mapping.

What a descriptor says is in the schema: names, types, values of enums, that of a oneof's fields one is given.
What only the gateway's readers know is added by `FACETS` and by CEL rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor, OneofDescriptor
from google.protobuf.message import Message

from ostiary_operator.resources.structural import LONGEST_TEXT, Rules

Comments = Mapping[str, str]
"""What the .proto files say beside a message, a field or a value, by its full name."""
Facets = Mapping[str, Mapping[str, Any]]
"""What a schema says beyond the type, by `Message.field`; of a list of texts, of each text under `items`."""

_INTEGERS = {
    FieldDescriptor.TYPE_INT32: "int32", FieldDescriptor.TYPE_SINT32: "int32",
    FieldDescriptor.TYPE_SFIXED32: "int32", FieldDescriptor.TYPE_UINT32: "int64",
    FieldDescriptor.TYPE_FIXED32: "int64",
}  # fmt: skip
_LONG = frozenset(
    (
        FieldDescriptor.TYPE_INT64, FieldDescriptor.TYPE_SINT64, FieldDescriptor.TYPE_SFIXED64,
        FieldDescriptor.TYPE_UINT64, FieldDescriptor.TYPE_FIXED64,
    )
)  # fmt: skip
_UNSIGNED = frozenset((FieldDescriptor.TYPE_UINT32, FieldDescriptor.TYPE_FIXED32))
_NUMBERS = frozenset((FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT))
_WELL_KNOWN: Mapping[str, Mapping[str, Any]] = {
    "google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
    "google.protobuf.Duration": {"type": "string", "pattern": r"^-?[0-9]{1,12}(\.[0-9]{1,9})?s$"},
}


def of_message(
    message: Descriptor, rules: Rules, facets: Facets, comments: Comments, within: tuple[str, ...] = ()
) -> dict[str, Any]:
    """A message's schema.

    Args:
        message: it may hold others, but not itself.
        rules: CEL rules by the name of a message, each with what is said where it is broken.
        facets: see `Facets`; `Message.` alone names fields that are required.
        comments: see `Comments`; empty leaves descriptions out.
        within: the messages that it is a part of.

    Raises:
        ValueError: a message holds itself, which no structural schema can say.
    """
    if message.full_name in within:
        raise ValueError(f"{message.full_name} holds itself: no structural schema can say that")
    inside = (*within, message.full_name)
    properties = {
        field.json_name: _of_field(field, rules, facets, comments, inside) for field in message.fields
    }
    found: dict[str, Any] = {"type": "object", "properties": properties}
    if said := comments.get(message.full_name):
        found = {"type": "object", "description": said, "properties": properties}
    found |= facets.get(f"{message.name}.", {})
    stated = [*map(_at_most_one, _choices(message)), *rules.get(message.name, ())]
    if stated:
        found["x-kubernetes-validations"] = [{"rule": rule, "message": words} for rule, words in stated]
    return found


def _of_field(
    field: FieldDescriptor, rules: Rules, facets: Facets, comments: Comments, within: tuple[str, ...]
) -> dict[str, Any]:
    owner = field.full_name.split(".")[-2]
    own = dict(facets.get(f"{owner}.{field.name}", {}))
    said = comments.get(field.full_name)
    described: dict[str, Any] = {"description": said} if said else {}
    kind = field.message_type
    if kind is not None and kind.GetOptions().map_entry:
        values = _of_value(kind.fields_by_name["value"], rules, facets, comments, within)
        return {"type": "object", **described, "additionalProperties": values, **own}
    value = _of_value(field, rules, facets, comments, within)
    if not field.is_repeated:
        return {**value, **described, **own}
    items = value | dict(own.pop("items", {}))
    return {"type": "array", **described, "items": items, **own}


def _of_value(
    field: FieldDescriptor, rules: Rules, facets: Facets, comments: Comments, within: tuple[str, ...]
) -> dict[str, Any]:
    """One value of a field, in JSON."""
    kind = field.type
    if field.message_type is not None:
        known = _WELL_KNOWN.get(field.message_type.full_name)
        return (
            dict(known)
            if known is not None
            else of_message(field.message_type, rules, facets, comments, within)
        )
    if field.enum_type is not None:
        return {"type": "string", "enum": names(field.enum_type)}
    if kind in _LONG:
        # The mapping writes them as text, since JavaScript has no such numbers, and reads both.
        return {"x-kubernetes-int-or-string": True, "pattern": "^-?[0-9]{1,19}$"}
    if kind in _INTEGERS:
        least = {"minimum": 0} if kind in _UNSIGNED else {}
        return {"type": "integer", "format": _INTEGERS[kind], **least}
    if kind in _NUMBERS:
        return {"type": "number"}
    if kind == FieldDescriptor.TYPE_BOOL:
        return {"type": "boolean"}
    if kind == FieldDescriptor.TYPE_BYTES:
        return {"type": "string", "format": "byte", "pattern": "^[A-Za-z0-9+/]*={0,2}$"}
    return {"type": "string", "maxLength": LONGEST_TEXT}


def descriptor_of(kind: type[Message]) -> Descriptor:
    """What the messages of a type hold."""
    return cast(Descriptor, kind.DESCRIPTOR)


def names(enum: EnumDescriptor) -> list[str]:
    """The values of an enum as the mapping writes them."""
    return [value.name for value in enum.values]


def _choices(message: Descriptor) -> list[OneofDescriptor]:
    """The oneofs that were written as such; `optional` fields have one each that nobody wrote."""
    return [one for one in message.oneofs if not one.name.startswith("_")]


def _at_most_one(choice: OneofDescriptor) -> tuple[str, str]:
    fields = [field.json_name for field in choice.fields]
    rule = " + ".join(f"(has(self.{name}) ? 1 : 0)" for name in fields)
    return f"{rule} <= 1", f"give one of {' and '.join(fields)}, not both"
