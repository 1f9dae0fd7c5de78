"""The types that rules see: a schema as declarations of the Common Expression Language.

Objects with properties become messages, so that a field that the schema does not have is refused when the
definition is made. What has no one type - integers or strings, lists of lists, maps of maps - is dynamic.
"""

import re
from typing import Any

from cel_expr_python import cel
from google.protobuf import duration_pb2, struct_pb2, timestamp_pb2
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool

from ostiary_operator.sandbox.api.cel import escaped

Json = dict[str, Any]

_T = cel.Type
_F = FieldDescriptorProto
_PACKAGE = "schema"
_KNOWN = (duration_pb2, struct_pb2, timestamp_pb2)
_IDENTIFIER = re.compile(r"[_a-zA-Z][_a-zA-Z0-9]*")
_ANYTHING = "google.protobuf.Value"
_OF_OBJECTS: Json = {
    "apiVersion": {"type": "string"},
    "kind": {"type": "string"},
    "metadata": {
        "type": "object",
        "properties": {"name": {"type": "string"}, "generateName": {"type": "string"}},
    },
}
"""What rules see of every object, and nothing more of its metadata."""
_SCALARS = {
    "integer": (_F.TYPE_INT64, _T.INT),
    "number": (_F.TYPE_DOUBLE, _T.DOUBLE),
    "boolean": (_F.TYPE_BOOL, _T.BOOL),
    "string": (_F.TYPE_STRING, _T.STRING),
    "bytes": (_F.TYPE_BYTES, _T.BYTES),
}
_WELL_KNOWN = {
    "date": ("google.protobuf.Timestamp", _T.TIMESTAMP),
    "date-time": ("google.protobuf.Timestamp", _T.TIMESTAMP),
    "duration": ("google.protobuf.Duration", _T.DURATION),
}


def of_object(schema: Json) -> Json:
    """A schema with what rules see of whole objects, for a resource's root and embedded resources."""
    return schema | {"properties": (schema.get("properties") or {}) | _OF_OBJECTS}


class Declarations:
    """The types of one schema."""

    def __init__(self, schema: Json) -> None:
        self._file = FileDescriptorProto(name="schema.proto", package=_PACKAGE, syntax="proto3")
        self._file.dependency.extend(module.DESCRIPTOR.name for module in _KNOWN)
        self.type = self._type(schema)
        self.pool = DescriptorPool()
        for module in _KNOWN:
            known = FileDescriptorProto()
            module.DESCRIPTOR.CopyToProto(known)
            self.pool.Add(known)  # type: ignore[no-untyped-call, unused-ignore]
        self.pool.Add(self._file)  # type: ignore[no-untyped-call, unused-ignore]

    def _type(self, schema: Json) -> "cel.Type":
        """The type of a variable that holds such a value."""
        kind = _kind(schema)
        if kind == "array":
            return _T.List(self._type(schema.get("items") or {}))
        if kind == "map":
            return _T.Map(_T.STRING, self._type(schema["additionalProperties"]))
        if kind == "object":
            return _T(f"{_PACKAGE}.{self._message(schema)}")
        if kind in _WELL_KNOWN:
            return _WELL_KNOWN[kind][1]
        return _SCALARS[kind][1] if kind in _SCALARS else _T.DYN

    def _message(self, schema: Json) -> str:
        """Declares an object's message; its name."""
        if schema.get("x-kubernetes-embedded-resource"):
            schema = of_object(schema)
        name = f"T{len(self._file.message_type)}"
        message = self._file.message_type.add(name=name)
        number = 0
        for key, inner in (schema.get("properties") or {}).items():
            field_name = escaped(key)
            if _IDENTIFIER.fullmatch(field_name) and _kind(inner):
                number += 1
                self._field(message, field_name, number, inner)
        return name

    def _field(self, message: DescriptorProto, name: str, number: int, schema: Json) -> None:
        kind = _kind(schema)
        field = message.field.add(name=name, number=number, label=_F.LABEL_OPTIONAL)
        if kind == "array":
            field.label = _F.LABEL_REPEATED
            self._set_type(field, schema.get("items") or {})
        elif kind == "map":
            entry = message.nested_type.add(name=f"{_camel(name)}Entry")
            entry.options.map_entry = True
            entry.field.add(name="key", number=1, type=_F.TYPE_STRING, label=_F.LABEL_OPTIONAL)
            value = entry.field.add(name="value", number=2, label=_F.LABEL_OPTIONAL)
            self._set_type(value, schema["additionalProperties"])
            field.label = _F.LABEL_REPEATED
            field.type = _F.TYPE_MESSAGE
            field.type_name = f".{_PACKAGE}.{message.name}.{entry.name}"
        else:
            self._set_type(field, schema)

    def _set_type(self, field: FieldDescriptorProto, schema: Json) -> None:
        kind = _kind(schema)
        if kind in _SCALARS:
            field.type = _SCALARS[kind][0]
            return
        field.type = _F.TYPE_MESSAGE
        if kind == "object":
            field.type_name = f".{_PACKAGE}.{self._message(schema)}"
        else:
            field.type_name = f".{_WELL_KNOWN[kind][0] if kind in _WELL_KNOWN else _ANYTHING}"


def _kind(schema: Json) -> str:
    """What a schema is to rules; empty for what they cannot see."""
    if schema.get("x-kubernetes-int-or-string"):
        return "any"
    kind, form = str(schema.get("type", "")), schema.get("format")
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        return "map"
    if kind == "string" and form in _WELL_KNOWN:
        return str(form)
    if kind == "string" and form == "byte":
        return "bytes"
    return kind


def _camel(name: str) -> str:
    """A map field's name as that of its entries' message begins."""
    return "".join(part[:1].upper() + part[1:] for part in name.split("_"))
