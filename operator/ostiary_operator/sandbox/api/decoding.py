"""Objects of Kubernetes' own kinds as typed decoding makes them: known fields of the right type alone."""

import base64
import binascii
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

from ostiary_operator.sandbox.api.status import ApiError, bad_request
from ostiary_operator.sandbox.api.values import quantity

Json = dict[str, Any]

_WORDS = {bool: "bool", int: "number", float: "number", str: "string", dict: "object", list: "array"}
_GO = {"string": "string", "integer": "int32", "number": "float64", "boolean": "bool"}
_RFC3339 = re.compile(r"^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$")


class _MismatchError(Exception):
    pass


def decode(schema: Json, obj: Json, kind: str, version: str) -> tuple[Json, list[str]]:
    """The object with what its schema knows, and the paths of unknown fields; 400 for a wrong type.

    Fields that are null are as good as absent, as they are to a typed decoder.
    """
    unknown: list[str] = []
    try:
        return _object(schema, obj, "", unknown, kind), unknown
    except _MismatchError as error:
        raise cannot_be_handled(kind, version, str(error)) from error


def whole(body: Any) -> Json:
    """A body that is an object with metadata, or none, and the names that say what it is; else 400."""
    if not isinstance(body, dict):
        raise bad_request("the object provided is unrecognized (must be of type object): an object is wanted")
    given = body.get("metadata") or {}
    names = [body.get("apiVersion"), body.get("kind")]
    if isinstance(given, dict):
        names += [given.get("name"), given.get("generateName"), given.get("namespace")]
    if not isinstance(given, dict) or not all(isinstance(one, str | None) for one in names):
        raise bad_request(
            "the object provided is unrecognized: metadata must be an object, and apiVersion, kind and the "
            "names in metadata strings"
        )
    return body


def cannot_be_handled(kind: str, version: str, why: str) -> ApiError:
    """400 in the words of Kubernetes' decoders."""
    return bad_request(f'{kind} in version "{version}" cannot be handled as a {kind}: {why}')


def _object(schema: Json, value: Any, path: str, unknown: list[str], owner: str) -> Json:
    if not isinstance(value, dict):
        raise _mismatch(value, owner, path, owner)
    properties = schema.get("properties")
    if properties is None:
        inner = schema.get("additionalProperties")
        if inner is None:
            return value
        return {
            key: _value(inner, one, f"{path}.{key}" if path else key, unknown, owner)
            for key, one in value.items()
            if one is not None
        }
    made = {}
    for key, one in value.items():
        field = properties.get(key)
        where = f"{path}.{key}" if path else key
        if field is None:
            unknown.append(where)
        elif one is not None:
            made[key] = _value(field, one, where, unknown, schema.get("x-model", owner).removeprefix("V1"))
    return made


def _value(schema: Json, value: Any, path: str, unknown: list[str], owner: str) -> Any:
    wanted = schema.get("type")
    if wanted == "object":
        return _object(schema, value, path, unknown, owner)
    if wanted == "array":
        if not isinstance(value, list):
            raise _mismatch(value, owner, path, f"[]{schema['items'].get('x-model', '').removeprefix('V1')}")
        return [_value(schema["items"], one, f"{path}[{i}]", unknown, owner) for i, one in enumerate(value)]
    if schema.get("x-quantity"):
        try:
            quantity(value)
        except ValueError as error:
            raise _MismatchError(str(error)) from error
        return str(value)
    if wanted is None:
        if schema.get("x-kubernetes-int-or-string") and (
            isinstance(value, bool) or not isinstance(value, int | str)
        ):
            raise _mismatch(value, owner, path, "int32")
        return value
    return _SCALARS[wanted](schema, value, path, owner)


def _string(schema: Json, value: Any, path: str, owner: str) -> Any:
    if not isinstance(value, str):
        raise _mismatch(value, owner, path, "string")
    if schema.get("format") == "date-time" and not _is_time(value):
        raise _MismatchError(f'parsing time "{value}" as "2006-01-02T15:04:05Z07:00": cannot parse "{value}"')
    if schema.get("format") == "byte":
        try:
            base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError) as error:
            raise _MismatchError("illegal base64 data at input byte 0") from error
    return value


def _integer(schema: Json, value: Any, path: str, owner: str) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise _mismatch(value, owner, path, "int32")
    return value


def _number(schema: Json, value: Any, path: str, owner: str) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _mismatch(value, owner, path, "float64")
    return value


def _boolean(schema: Json, value: Any, path: str, owner: str) -> Any:
    if not isinstance(value, bool):
        raise _mismatch(value, owner, path, "bool")
    return value


_SCALARS: dict[str, Callable[[Json, Any, str, str], Any]] = {
    "string": _string, "integer": _integer, "number": _number, "boolean": _boolean,
}  # fmt: skip


def _mismatch(value: Any, owner: str, path: str, wanted: str) -> _MismatchError:
    found = _WORDS.get(type(value), "value")
    plain = re.sub(r"\[\d+\]", "", path)
    return _MismatchError(
        f"json: cannot unmarshal {found} into Go struct field {owner}.{plain} of type {wanted}"
    )


def _is_time(value: str) -> bool:
    if not _RFC3339.match(value):
        return False
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True
