"""JSON patch (RFC 6902), JSON merge patch (RFC 7396) and Kubernetes' strategic merge patch; pure."""

from typing import Any

from ostiary_operator.sandbox.api.values import copied, quoted, same

Json = dict[str, Any]


class PatchError(ValueError):
    """A patch that cannot be read."""


class UnfitPatchError(ValueError):
    """A patch that can be read and does not fit the object."""


def json_patch(document: Any, patch: Any) -> Any:
    """The document after the operations of a JSON patch, all or none."""
    if not isinstance(patch, list):
        raise PatchError("a JSON patch is a list of operations")
    document = copied(document)
    for operation in patch:
        if not isinstance(operation, dict) or "op" not in operation or "path" not in operation:
            raise PatchError("an operation of a JSON patch has an op and a path")
        document = _operate(document, operation)
    return document


def _operate(document: Any, operation: Json) -> Any:
    op, path = operation["op"], _pointer(operation["path"])
    if op in ("add", "replace", "test") and "value" not in operation:
        raise PatchError(f"{op} operation needs a value")
    if op == "test":
        if not same(_get(document, path), operation["value"]):
            raise UnfitPatchError(f"testing value {operation['path']} failed: test failed")
        return document
    if op == "remove":
        return _remove(document, path)
    if op == "add":
        return _add(document, path, copied(operation["value"]))
    if op == "replace":
        _get(document, path)
        return _add(_remove(document, path) if path else document, path, copied(operation["value"]))
    if op in ("move", "copy"):
        origin = _pointer(operation.get("from", ""))
        value = copied(_get(document, origin))
        if op == "move":
            document = _remove(document, origin)
        return _add(document, path, value)
    raise PatchError(f"Unexpected kind: {op}")


def _pointer(text: Any) -> list[str]:
    if not isinstance(text, str) or (text and not text.startswith("/")):
        raise PatchError(f"{text!r} is no JSON pointer")
    return [part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:]]


def _missing(path: list[str]) -> UnfitPatchError:
    return UnfitPatchError(f"the path /{'/'.join(path)} does not exist: missing value")


def _index(items: list[Any], word: str, path: list[str]) -> int:
    if not word.isdigit() or int(word) >= len(items):
        raise _missing(path)
    return int(word)


def _get(document: Any, path: list[str]) -> Any:
    for word in path:
        if isinstance(document, dict) and word in document:
            document = document[word]
        elif isinstance(document, list):
            document = document[_index(document, word, path)]
        else:
            raise _missing(path)
    return document


def _remove(document: Any, path: list[str]) -> Any:
    if not path:
        return None
    parent = _get(document, path[:-1])
    if isinstance(parent, dict) and path[-1] in parent:
        del parent[path[-1]]
    elif isinstance(parent, list):
        del parent[_index(parent, path[-1], path)]
    else:
        raise _missing(path)
    return document


def _add(document: Any, path: list[str], value: Any) -> Any:
    if not path:
        return value
    parent = _get(document, path[:-1])
    if isinstance(parent, dict):
        parent[path[-1]] = value
    elif isinstance(parent, list):
        if path[-1] == "-":
            parent.append(value)
        else:
            if not path[-1].isdigit() or int(path[-1]) > len(parent):
                raise _missing(path)
            parent.insert(int(path[-1]), value)
    else:
        raise _missing(path)
    return document


def merge_patch(document: Any, patch: Any) -> Any:
    """The document after a JSON merge patch: null removes, objects merge, anything else replaces."""
    if not isinstance(patch, dict):
        return copied(patch)
    made = dict(document) if isinstance(document, dict) else {}
    for key, value in patch.items():
        if value is None:
            made.pop(key, None)
        else:
            made[key] = merge_patch(made.get(key), value)
    return made


_DIRECTIVE = "$patch"
_DELETE_PRIMITIVES = "$deleteFromPrimitiveList/"
_ORDER = "$setElementOrder/"
_RETAIN = "$retainKeys"


def strategic_merge(document: Json, patch: Any, schema: Json) -> Json:
    """The document after a strategic merge patch, by the merge keys of its schema."""
    if not isinstance(patch, dict):
        raise PatchError("a strategic merge patch is an object")
    return _strategic_object(document, patch, schema)


def _strategic_object(document: Any, patch: Json, schema: Json) -> Json:
    made = dict(document) if isinstance(document, dict) else {}
    directive = patch.get(_DIRECTIVE)
    if directive == "replace":
        return {key: copied(value) for key, value in patch.items() if key != _DIRECTIVE}
    if directive == "delete":
        return {}
    if directive not in (None, "merge"):
        raise PatchError(f"Unexpected value for {_DIRECTIVE}: {directive}")
    if _RETAIN in patch:
        kept = set(patch[_RETAIN])
        made = {key: value for key, value in made.items() if key in kept}
    properties = schema.get("properties") or {}
    for key, value in patch.items():
        if key in (_DIRECTIVE, _RETAIN) or key.startswith(_ORDER):
            continue
        if key.startswith(_DELETE_PRIMITIVES):
            name = key.removeprefix(_DELETE_PRIMITIVES)
            made[name] = [one for one in made.get(name) or [] if one not in value]
            continue
        others = schema.get("additionalProperties")
        field = properties.get(key) or (others if isinstance(others, dict) else {})
        if value is None:
            made.pop(key, None)
        else:
            made[key] = _strategic_value(made.get(key), value, field, patch.get(_ORDER + key))
    for key, order in patch.items():
        if key.startswith(_ORDER) and (name := key.removeprefix(_ORDER)) in made and name not in patch:
            made[name] = _ordered(made[name], order, properties.get(name) or {})
    return made


def _strategic_value(current: Any, value: Any, schema: Json, order: Any) -> Any:
    if isinstance(value, dict):
        return _strategic_object(current, value, schema)
    if not isinstance(value, list):
        return value
    if "merge" not in schema.get("x-kubernetes-patch-strategy", ""):
        return [copied(one) for one in value if not (isinstance(one, dict) and one.keys() == {_DIRECTIVE})]
    items = current if isinstance(current, list) else []
    key = schema.get("x-kubernetes-patch-merge-key")
    made = _merge_by_key(items, value, key, schema.get("items") or {}) if key else _merge_set(items, value)
    return _ordered(made, order, schema) if order else made


def _merge_set(items: list[Any], value: list[Any]) -> list[Any]:
    return items + [one for one in value if one not in items]


def _merge_by_key(items: list[Any], value: list[Any], key: str, schema: Json) -> list[Any]:
    if any(isinstance(one, dict) and one.get(_DIRECTIVE) == "replace" for one in value):
        return [copied(one) for one in value if not (isinstance(one, dict) and _DIRECTIVE in one)]
    made = list(items)
    for one in value:
        if not isinstance(one, dict) or key not in one:
            raise PatchError(f"map: {quoted(one)} does not contain declared merge key: {key}")
        place = next((index for index, old in enumerate(made) if old.get(key) == one[key]), None)
        if one.get(_DIRECTIVE) == "delete":
            made = [old for old in made if old.get(key) != one[key]]
        elif place is None:
            made.append(_strategic_object({}, one, schema))
        else:
            made[place] = _strategic_object(made[place], one, schema)
    return made


def _ordered(items: list[Any], order: list[Any], schema: Json) -> list[Any]:
    """Items in the order that the patch asks for; those it does not name keep their places."""
    key = schema.get("x-kubernetes-patch-merge-key")
    wanted = [quoted(one.get(key) if key and isinstance(one, dict) else one) for one in order]

    def name(item: Any) -> str:
        return quoted(item.get(key) if key and isinstance(item, dict) else item)

    ranked = {word: position for position, word in enumerate(wanted)}
    named = sorted((item for item in items if name(item) in ranked), key=lambda item: ranked[name(item)])
    queue = iter(named)
    return [next(queue) if name(item) in ranked else item for item in items]
