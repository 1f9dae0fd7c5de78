"""Sets of fields, as `managedFields` names them (FieldsV1), and what of an object each path means; pure."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from ostiary_operator.sandbox.api.values import quoted

Json = dict[str, Any]
Path = tuple[str, ...]
"""`f:NAME` for a field, `k:{KEYS}` for a list's element by its keys, `v:VALUE` for a member of a set."""

_NOT_MANAGED = {
    ("f:apiVersion",), ("f:kind",), ("f:metadata", "f:name"), ("f:metadata", "f:namespace"),
    ("f:metadata", "f:creationTimestamp"), ("f:metadata", "f:uid"), ("f:metadata", "f:generation"),
    ("f:metadata", "f:managedFields"), ("f:metadata", "f:resourceVersion"), ("f:metadata", "f:selfLink"),
    ("f:metadata", "f:deletionTimestamp"), ("f:metadata", "f:deletionGracePeriodSeconds"), ("f:metadata",),
}  # fmt: skip


def flattened(schema: Json, obj: Json) -> dict[Path, Any]:
    """Every field that can have an owner, with its value (None for an element of a list)."""
    found: dict[Path, Any] = {}
    _flatten(schema, obj, (), found)
    for path in list(found):
        if path in _NOT_MANAGED or path[:2] in _NOT_MANAGED:
            del found[path]
    return found


def _flatten(schema: Json, value: Any, path: Path, found: dict[Path, Any]) -> None:
    if isinstance(value, dict) and value and schema.get("x-kubernetes-map-type") != "atomic":
        for key, inner in value.items():
            _flatten(field_schema(schema, key), inner, (*path, f"f:{key}"), found)
    elif isinstance(value, list) and value and list_type(schema) != "atomic":
        items = schema.get("items") or {}
        for inner, element in zip(value, elements(schema, value), strict=True):
            place = (*path, element)
            found[place] = None
            if element.startswith("k:"):
                _flatten(items, inner, place, found)
    elif path:
        found[path] = value


def field_schema(schema: Json, key: str) -> Json:
    """The schema of a field of an object."""
    properties = schema.get("properties") or {}
    if key in properties:
        inner: Json = properties[key]
        return inner
    others = schema.get("additionalProperties")
    return others if isinstance(others, dict) else {}


def list_type(schema: Json) -> str:
    """How a list merges: map, set or atomic."""
    kind: str = schema.get("x-kubernetes-list-type", "atomic")
    return kind


def elements(schema: Json, values: list[Any]) -> list[str]:
    """The path element of each member of a list."""
    if list_type(schema) == "set":
        return [f"v:{quoted(value)}" for value in values]
    names = sorted(schema["x-kubernetes-list-map-keys"])
    shapes = (schema.get("items") or {}).get("properties") or {}
    made = []
    for value in values:
        keys = {}
        for name in names:
            key = value.get(name, _DEFAULT_KEYS.get(name, (shapes.get(name) or {}).get("default")))
            if key is not None:
                keys[name] = key
        made.append(f"k:{quoted(keys)}")
    return made


_DEFAULT_KEYS = {"protocol": "TCP"}


def to_fields_v1(paths: Iterable[Path]) -> Json:
    """Paths as a FieldsV1 object."""
    root: Json = {}
    for path in sorted(paths):
        node = root
        for index, element in enumerate(path):
            if index and not node and path[:index] in paths:
                node["."] = {}
            node = node.setdefault(element, {})
    return root


def of_fields_v1(fields: Json) -> set[Path]:
    """The paths in a FieldsV1 object."""
    return set(_paths(fields, ()))


def _paths(node: Json, path: Path) -> Iterator[Path]:
    if path and (not node or "." in node):
        yield path
    for element, inner in node.items():
        if element != ".":
            yield from _paths(inner, (*path, element))


def described(path: Path) -> str:
    """A path as conflicts print it: `.spec.containers[name="web"].image`."""
    words = []
    for element in path:
        kind, _, rest = element.partition(":")
        if kind == "f":
            words.append(f".{rest}")
        elif kind == "k":
            keys = json.loads(rest)
            words.append(f"[{','.join(f'{key}={quoted(value)}' for key, value in keys.items())}]")
        else:
            words.append(f"[={rest}]")
    return "".join(words)


def without(schema: Json, obj: Json, paths: set[Path]) -> Json:
    """The object without the fields at `paths`; what becomes empty by that goes too."""
    tree: Json = {}
    for path in paths:
        node = tree
        for element in path:
            node = node.setdefault(element, {})
        node["."] = {}
    made = _prune(schema, obj, tree)
    return made if isinstance(made, dict) else {}


_REMOVED = object()


def _prune(schema: Json, value: Any, tree: Json) -> Any:
    if isinstance(value, dict):
        made = {}
        for key, inner in value.items():
            branch = tree.get(f"f:{key}")
            if branch is not None:
                if "." in branch:
                    continue
                inner = _prune(field_schema(schema, key), inner, branch)
                if inner is _REMOVED:
                    continue
            made[key] = inner
        return made if made or not value else _REMOVED
    if isinstance(value, list) and list_type(schema) != "atomic":
        kept = []
        for inner, element in zip(value, elements(schema, value), strict=True):
            branch = tree.get(element)
            if branch is not None:
                if "." in branch:
                    continue
                inner = _prune(schema.get("items") or {}, inner, branch)
                if inner is _REMOVED:
                    continue
            kept.append(inner)
        return kept if kept or not value else _REMOVED
    return value


def merged(schema: Json, live: Any, config: Any) -> Any:
    """The live value with a configuration's fields set: objects and keyed lists merge, others go."""
    if (
        isinstance(config, dict)
        and isinstance(live, dict)
        and schema.get("x-kubernetes-map-type") != "atomic"
    ):
        made = dict(live)
        for key, value in config.items():
            made[key] = merged(field_schema(schema, key), live[key], value) if key in live else value
        return made
    if isinstance(config, list) and isinstance(live, list) and list_type(schema) != "atomic":
        return _merged_list(schema, live, config)
    return config


def _merged_list(schema: Json, live: list[Any], config: list[Any]) -> list[Any]:
    """Elements of both in the configuration's order; those it does not know stay where they were."""
    wanted = dict(zip(elements(schema, config), config, strict=True))
    have = dict(zip(elements(schema, live), live, strict=True))
    items = schema.get("items") or {}
    queue = [key for key in wanted if key in have]
    made: dict[str, Any] = {}
    position = 0
    for key, value in have.items():
        if key in wanted:
            key = queue[position]
            position += 1
            made[key] = merged(items, have[key], wanted[key]) if key.startswith("k:") else wanted[key]
        else:
            made[key] = value
    for key, value in wanted.items():
        made.setdefault(key, value)
    return list(made.values())
