"""Kubernetes' protobuf, which its Go clients send for the kinds that they have types of.

An object is a message of its own kind inside a `runtime.Unknown` that names the kind, after four bytes that
say what comes. Which field has which number is in `wire.json`, which `operator/generate_wire.py` makes from
the Go types; custom resources have no such form.
"""

import base64
import json
import struct
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.resources import files
from typing import Any

Json = dict[str, Any]

MEDIA_TYPE = "application/vnd.kubernetes.protobuf"
MAGIC = b"k8s\x00"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class WireError(ValueError):
    """Bytes that are no object, or a kind that has no form in protobuf."""


@cache
def _table() -> Json:
    found: Json = json.loads((files(__package__) / "wire.json").read_text(encoding="utf-8"))
    return found


@cache
def _fields(message: str) -> dict[int, tuple[str, str, bool]]:
    """Name, type and whether an empty text, zero or false means absence, by number."""
    return {
        int(number): (name, kind, drops)
        for number, (name, kind, drops) in _table()["messages"][message].items()
    }


def _message_of(version: str, kind: str) -> str:
    """The message of a kind; options of a deletion may come under any group's version."""
    name = "v1/DeleteOptions" if kind == "DeleteOptions" else f"{version}/{kind}"
    found: str | None = _table()["kinds"].get(name)
    if found is None:
        raise WireError(f'no kind "{kind}" is registered for version "{version}" in protobuf')
    return found


def known(version: str, kind: str) -> bool:
    """Whether objects of this kind have a form in protobuf."""
    return f"{version}/{kind}" in _table()["kinds"]


# -- reading


def decode(data: bytes) -> Json:
    """The object that a body is; WireError where it is none."""
    if not data.startswith(MAGIC):
        raise WireError("provided data does not appear to be a protobuf message, expected prefix 6b 38 73 00")
    try:
        envelope = dict(parts(data[len(MAGIC) :]))
        kind = {number: str(text, "utf-8") for number, text in parts(some_bytes(envelope.get(1, b"")))}
        version, name = kind.get(1, ""), kind.get(2, "")
        made = _read(_message_of(version, name), some_bytes(envelope.get(2, b"")))
    except (IndexError, UnicodeDecodeError, struct.error, TypeError, OverflowError) as error:
        raise WireError(f"the message is cut off or damaged: {error}") from error
    return {"apiVersion": version, "kind": name, **made}


def some_bytes(value: Any) -> bytes:
    if not isinstance(value, bytes):
        raise WireError("the message has a number where a text should be")
    return value


def parts(data: bytes) -> Iterator[tuple[int, Any]]:
    """The fields of a message as they stand: numbers as int, everything else as bytes."""
    place = 0
    while place < len(data):
        tag, place = _varint(data, place)
        number, form = tag >> 3, tag & 7
        if form == _VARINT:
            value, place = _varint(data, place)
            yield number, value
            continue
        length = {_FIXED64: 8, _FIXED32: 4}.get(form, -1)
        if form == _BYTES:
            length, place = _varint(data, place)
        if length < 0 or place + length > len(data):
            raise WireError(f"field {number} of the message is cut off or of an unknown form")
        yield number, data[place : place + length]
        place += length


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, place
        if shift > 63:
            raise WireError("a number of the message is too long")


def _read(message: str, data: bytes) -> Json:
    fields = _fields(message)
    made: Json = {}
    for number, raw in parts(data):
        if number not in fields:
            continue
        name, kind, drops = fields[number]
        if not name:
            made |= _read(kind, some_bytes(raw))
        elif kind.startswith("[]"):
            made.setdefault(name, []).append(_value(kind[2:], raw))
        elif kind.startswith("{}"):
            pair = dict(parts(some_bytes(raw)))
            key = str(some_bytes(pair.get(1, b"")), "utf-8")
            made.setdefault(name, {})[key] = _value(kind[2:], pair.get(2, b""))
        else:
            value = _value(kind, raw)
            if value is None or (drops and value in ("", 0, False)):
                continue
            made[name] = value
    return made


def _value(kind: str, raw: Any) -> Any:
    if kind == "int":
        return raw - (1 << 64) if raw >> 63 else raw
    if kind == "bool":
        return bool(raw)
    data = some_bytes(raw)
    if kind == "string":
        return str(data, "utf-8")
    if kind == "double":
        return struct.unpack("<d", data)[0]
    if kind == "bytes":
        return base64.b64encode(data).decode()
    if kind.startswith("items:"):
        return [_value(kind[len("items:[]") :], one) for _, one in parts(data)]
    if kind in ("quantity", "int-or-string", "time", "micro-time", "raw", "fields"):
        return _special(kind, dict(parts(data)))
    return _read(kind, data)


def _special(kind: str, parts: dict[int, Any]) -> Any:
    if kind == "quantity":
        return str(some_bytes(parts.get(1, b"")), "utf-8")
    if kind == "int-or-string":
        if parts.get(1, 0):
            return str(some_bytes(parts.get(3, b"")), "utf-8")
        return _value("int", parts.get(2, 0))
    if kind in ("raw", "fields"):
        return json.loads(some_bytes(parts.get(1, b"")) or b"null")
    if not parts.get(1) and not parts.get(2):
        return None
    seconds = _value("int", parts.get(1, 0))
    moment = _EPOCH + timedelta(seconds=seconds, microseconds=_value("int", parts.get(2, 0)) // 1000)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ" if kind == "time" else "%Y-%m-%dT%H:%M:%S.%fZ")


# -- writing


def encode(obj: Json) -> bytes:
    """An object as a body; WireError where its kind has no form in protobuf."""
    version, kind = obj["apiVersion"], obj["kind"]
    head = _field(1, version.encode()) + _field(2, kind.encode())
    body = _written(_message_of(version, kind), obj)
    return MAGIC + _field(1, head) + _field(2, body) + _field(3, b"") + _field(4, b"")


def _number(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _field(number: int, data: bytes) -> bytes:
    return _number(number << 3 | _BYTES) + _number(len(data)) + data


def _written(message: str, obj: Json) -> bytes:
    out = bytearray()
    for number, (name, kind, _) in sorted(_fields(message).items()):
        if not name:
            out += _field(number, _written(kind, obj))
            continue
        value = obj.get(name)
        if value is None:
            continue
        if kind.startswith("[]"):
            for one in value:
                out += _one(number, kind[2:], one)
        elif kind.startswith("{}"):
            for key in sorted(value):
                out += _field(number, _field(1, key.encode()) + _one(2, kind[2:], value[key]))
        else:
            out += _one(number, kind, value)
    return bytes(out)


def _one(number: int, kind: str, value: Any) -> bytes:
    if kind in ("int", "bool"):
        return _number(number << 3) + _number(int(value))
    if kind == "double":
        return _number(number << 3 | _FIXED64) + struct.pack("<d", value)
    return _field(number, _packed(kind, value))


def _packed(kind: str, value: Any) -> bytes:
    if kind == "string":
        return str(value).encode()
    if kind == "bytes":
        return base64.b64decode(value)
    if kind.startswith("items:"):
        return b"".join(_one(1, kind[len("items:[]") :], one) for one in value)
    if kind == "quantity":
        return _field(1, str(value).encode())
    if kind == "int-or-string":
        if isinstance(value, str):
            return _number(1 << 3) + _number(1) + _field(3, value.encode())
        return _number(1 << 3) + _number(0) + _number(2 << 3) + _number(value)
    if kind in ("raw", "fields"):
        return _field(1, json.dumps(value, separators=(",", ":")).encode())
    if kind in ("time", "micro-time"):
        since = datetime.fromisoformat(value) - _EPOCH
        seconds = since.days * 86_400 + since.seconds
        return _number(1 << 3) + _number(seconds) + _number(2 << 3) + _number(since.microseconds * 1000)
    return _written(kind, value)
