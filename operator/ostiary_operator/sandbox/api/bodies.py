"""Bodies of requests, read: JSON, YAML and protobuf, and the fields that JSON has twice."""

import json
from typing import Any

import yaml

from ostiary_operator.sandbox.api import wire
from ostiary_operator.sandbox.api.status import bad_request

JSON = "application/json"
YAML = "application/yaml"


class _Loader(yaml.SafeLoader):
    """YAML as Kubernetes reads it: what looks like a date is text."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read(kind: str, data: bytes, doubled: list[str] | None = None) -> Any:
    """A body of a media type; 400 where it cannot be read. `doubled` gets the fields that JSON has twice."""
    try:
        if kind == wire.MEDIA_TYPE:
            return wire.decode(data)
        if "yaml" in kind:
            return yaml.load(data, Loader=_Loader)  # noqa: S506  # a safe loader, without dates
        return _json(data, doubled)
    except (ValueError, yaml.YAMLError) as error:
        raise bad_request(f"the object provided is unrecognized: couldn't parse the body: {error}") from error
    except RecursionError as error:
        raise bad_request("the object provided is nested too deeply") from error


def _json(data: bytes, doubled: list[str] | None) -> Any:
    found = False

    def made(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal found
        obj = dict(pairs)
        found = found or len(obj) < len(pairs)
        return obj

    value = json.loads(data, parse_constant=_no_constant, object_pairs_hook=made)
    if found and doubled is not None:
        doubled += _doubled(json.loads(data, object_pairs_hook=_Pairs), "")
    return value


class _Pairs(list[tuple[str, Any]]):
    """An object as its fields in order, with those that are there twice."""


def _doubled(value: Any, path: str) -> list[str]:
    """Paths of fields that an object has twice."""
    told: list[str] = []
    if isinstance(value, _Pairs):
        seen: set[str] = set()
        for key, inner in value:
            where = f"{path}.{key}" if path else key
            told += ([where] if key in seen else []) + _doubled(inner, where)
            seen.add(key)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            told += _doubled(inner, f"{path}[{index}]")
    return told


def _no_constant(text: str) -> Any:
    raise ValueError(f"invalid character in {text}")
