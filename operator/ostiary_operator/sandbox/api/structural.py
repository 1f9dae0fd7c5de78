"""Custom resources against the structural schemas of their definitions: prune, default, validate."""

import math
import re
from collections.abc import Callable
from functools import cache
from typing import Any

from ostiary_operator.sandbox.api import cel
from ostiary_operator.sandbox.api.status import (
    FieldError,
    duplicate,
    forbidden_field,
    invalid_type,
    invalid_value,
    required,
    unsupported,
)
from ostiary_operator.sandbox.api.values import copied, quoted, same

Json = dict[str, Any]

KEEP = "x-kubernetes-preserve-unknown-fields"
EITHER = "x-kubernetes-int-or-string"
_OF_OBJECTS = ("apiVersion", "kind", "metadata")


def prune(schema: Json, value: Any, path: str = "") -> list[str]:
    """Drops fields, in place, that the schema does not know; their paths."""
    dropped: list[str] = []
    if isinstance(value, dict):
        properties = schema.get("properties") or {}
        others = schema.get("additionalProperties")
        for key in list(value):
            where = f"{path}.{key}" if path else key
            if key in properties:
                dropped += prune(properties[key], value[key], where)
            elif isinstance(others, dict):
                dropped += prune(others, value[key], where)
            elif not (others or schema.get(KEEP) or (key in _OF_OBJECTS and _embedded(schema))):
                del value[key]
                dropped.append(where)
    elif isinstance(value, list) and isinstance(schema.get("items"), dict):
        for index, inner in enumerate(value):
            dropped += prune(schema["items"], inner, f"{path}[{index}]")
    return dropped


def misshapen(schema: Json, value: Any, path: str = "") -> list[str]:
    """What keeps a value from being merged field by field: another shape, or an element without its key."""
    kind = schema.get("type")
    if value is None or schema.get(EITHER):
        return []
    if kind in ("object", "array") and not _TYPES[kind](value):
        return [f"{path}: expected {'map' if kind == 'object' else 'list'}, got {quoted(value)}"]
    told: list[str] = []
    if isinstance(value, dict):
        properties, others = schema.get("properties") or {}, schema.get("additionalProperties")
        for key, inner in value.items():
            shape = properties.get(key, others)
            if isinstance(shape, dict):
                told += misshapen(shape, inner, f"{path}.{key}")
    elif isinstance(value, list):
        items = schema.get("items") or {}
        for index, inner in enumerate(value):
            told += misshapen(items, inner, f"{path}[{index}]")
            if isinstance(inner, dict) and (names := schema.get("x-kubernetes-list-map-keys")):
                told += [
                    f"{path}[{index}]: associative list with keys has an element that omits key field "
                    f"{quoted(name)} (and doesn't have default value)"
                    for name in names
                    if _key_of(items, inner, name) is None
                ]
    return told


def _embedded(schema: Json) -> bool:
    return bool(schema.get("x-kubernetes-embedded-resource"))


def fill_defaults(schema: Json, value: Any) -> None:
    """Sets, in place, what is absent (or null where it may not be) and has a default."""
    if isinstance(value, dict):
        properties = schema.get("properties") or {}
        for key, inner in properties.items():
            lacks = key not in value or (value[key] is None and not inner.get("nullable"))
            if lacks and "default" in inner:
                value[key] = copied(inner["default"])
            elif lacks:
                continue
            if key in value:
                fill_defaults(inner, value[key])
        if isinstance(others := schema.get("additionalProperties"), dict):
            for key, inner_value in value.items():
                if key not in properties:
                    fill_defaults(others, inner_value)
    elif isinstance(value, list) and isinstance(schema.get("items"), dict):
        for inner_value in value:
            fill_defaults(schema["items"], inner_value)


def validate(schema: Json, value: Any, old: Any = None, path: str = "") -> list[FieldError]:
    """What is wrong with a value by its schema, then by its rules; what did not change is let be."""
    errors = _check(schema, value, old, path)
    return errors or _check_rules(schema, value, old, path)


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


_TYPES: dict[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: not isinstance(value, bool) and (isinstance(value, int) or _integral(value)),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
}


def _integral(value: Any) -> bool:
    return isinstance(value, float) and value.is_integer()


def _type_name(value: Any) -> str:
    if value is None:
        return "null"
    order = ("object", "array", "string", "boolean", "integer", "number")
    return next(name for name in order if _TYPES[name](value))


def _check(schema: Json, value: Any, old: Any, path: str) -> list[FieldError]:
    if value is None and schema.get("nullable"):
        return []
    if old is not None and same(value, old):
        return []
    wanted = schema.get("type")
    if schema.get(EITHER):
        if not (_TYPES["integer"](value) or isinstance(value, str)):
            return [invalid_type(path, value, "integer,string", _type_name(value))]
    elif wanted and not _TYPES[wanted](value):
        return [invalid_type(path, value, wanted, _type_name(value))]
    errors = []
    if "enum" in schema and not any(same(value, one) for one in schema["enum"]):
        errors.append(unsupported(path, value, schema["enum"]))
    if isinstance(value, dict):
        errors += _check_object(schema, value, old, path)
    elif isinstance(value, list):
        errors += _check_list(schema, value, old, path)
    elif isinstance(value, str):
        errors += _check_text(schema, value, path)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        errors += _check_number(schema, value, path)
    return errors + _check_junctors(schema, value, path)


def _check_object(schema: Json, value: Json, old: Any, path: str) -> list[FieldError]:
    properties = schema.get("properties") or {}
    errors = [required(_join(path, key)) for key in schema.get("required") or () if key not in value]
    most, least = schema.get("maxProperties"), schema.get("minProperties")
    if most is not None and len(value) > most:
        errors.append(_too_many(path, len(value), most))
    if least is not None and len(value) < least:
        errors.append(invalid_value(path, value, f"{path} in body should have at least {least} properties"))
    others = schema.get("additionalProperties")
    for key, inner in value.items():
        before = old.get(key) if isinstance(old, dict) else None
        if key in properties:
            if not path and key == "metadata":
                continue
            errors += _check(properties[key], inner, before, _join(path, key))
        elif isinstance(others, dict):
            errors += _check(others, inner, before, _join(path, key))
    return errors


def _too_many(path: str, count: int, most: int) -> FieldError:
    return FieldError("FieldValueTooMany", path, f"Too many: {count}: must have at most {most} items")


def _check_list(schema: Json, value: list[Any], old: Any, path: str) -> list[FieldError]:
    errors = []
    most, least = schema.get("maxItems"), schema.get("minItems")
    if most is not None and len(value) > most:
        errors.append(_too_many(path, len(value), most))
    if least is not None and len(value) < least:
        errors.append(invalid_value(path, len(value), f"{path} in body should have at least {least} items"))
    before = earlier_elements(schema, old)
    for index, inner in enumerate(value):
        errors += _check(schema.get("items") or {}, inner, before(inner), f"{path}[{index}]")
    kind = schema.get("x-kubernetes-list-type")
    if kind == "set" or schema.get("uniqueItems"):
        keys = value
    elif kind == "map":
        names = schema["x-kubernetes-list-map-keys"]
        items = schema.get("items") or {}
        keys = [{name: _key_of(items, one, name) for name in names} for one in value if isinstance(one, dict)]
    else:
        return errors
    seen: set[str] = set()
    for index, key in enumerate(keys):
        text = quoted(key)
        if text in seen:
            errors.append(duplicate(f"{path}[{index}]", key))
        seen.add(text)
    return errors


def _key_of(items: Json, one: Json, name: str) -> Any:
    return one.get(name, ((items.get("properties") or {}).get(name) or {}).get("default"))


def earlier_elements(schema: Json, old: Any) -> Callable[[Any], Any]:
    """Finds the element of an older list that an element continues; only lists by keys have any."""
    keys = schema.get("x-kubernetes-list-map-keys")
    if not isinstance(old, list) or not keys:
        return lambda _: None
    by_key = {quoted([one.get(key) for key in keys]): one for one in old if isinstance(one, dict)}
    return lambda one: by_key.get(quoted([one.get(key) for key in keys])) if isinstance(one, dict) else None


def _check_text(schema: Json, value: str, path: str) -> list[FieldError]:
    errors = []
    most, least, pattern = schema.get("maxLength"), schema.get("minLength"), schema.get("pattern")
    if most is not None and len(value) > most:
        errors.append(FieldError("FieldValueTooLong", path, f"Too long: may not be more than {most} bytes"))
    if least is not None and len(value) < least:
        errors.append(invalid_value(path, value, f"{path} in body should be at least {least} chars long"))
    if pattern is not None and not _regex(pattern).search(value):
        errors.append(invalid_value(path, value, f"{path} in body should match '{pattern}'"))
    form = schema.get("format")
    if form in _FORMATS and not _FORMATS[form](value):
        errors.append(invalid_value(path, value, f"{path} in body must be of type {form}: {quoted(value)}"))
    return errors


@cache
def _regex(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


_TIME = re.compile(r"^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:?\d\d)$")
_FORMATS: dict[str, Callable[[str], Any]] = {
    "date-time": _TIME.match,
    "date": re.compile(r"^\d{4}-\d\d-\d\d$").match,
    "uuid": re.compile(r"(?i)^[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}$").match,
    "duration": re.compile(r"^(\d+(\.\d+)?(h|ms|us|µs|ns|m|s))+$").match,
    "ipv4": re.compile(r"^(\d{1,3}\.){3}\d{1,3}$").match,
}


def _check_number(schema: Json, value: float, path: str) -> list[FieldError]:
    errors = []
    least, most, step = schema.get("minimum"), schema.get("maximum"), schema.get("multipleOf")
    if least is not None and (value < least or (value == least and schema.get("exclusiveMinimum"))):
        words = "greater than" if schema.get("exclusiveMinimum") else "greater than or equal to"
        errors.append(invalid_value(path, value, f"{path} in body should be {words} {least:g}"))
    if most is not None and (value > most or (value == most and schema.get("exclusiveMaximum"))):
        words = "less than" if schema.get("exclusiveMaximum") else "less than or equal to"
        errors.append(invalid_value(path, value, f"{path} in body should be {words} {most:g}"))
    if step and not math.isclose(value / step, round(value / step)):
        errors.append(invalid_value(path, value, f"{path} in body should be a multiple of {step:g}"))
    return errors


def _check_junctors(schema: Json, value: Any, path: str) -> list[FieldError]:
    errors = []
    for inner in schema.get("allOf") or ():
        errors += _check(inner, value, None, path)
    good = [not _check(inner, value, None, path) for inner in schema.get("anyOf") or ()]
    if good and not any(good):
        errors.append(invalid_value(path, value, f'"{path}" must validate at least one schema (anyOf)'))
    good = [not _check(inner, value, None, path) for inner in schema.get("oneOf") or ()]
    if good and sum(good) != 1:
        found = "Found none valid" if not any(good) else f"Found {sum(good)} valid alternatives"
        detail = f'"{path}" must validate one and only one schema (oneOf). {found}'
        errors.append(invalid_value(path, value, detail))
    if "not" in schema and not _check(schema["not"], value, None, path):
        errors.append(invalid_value(path, value, f'"{path}" must not validate the schema (not)'))
    return errors


def _check_rules(schema: Json, value: Any, old: Any, path: str) -> list[FieldError]:
    if value is None:
        return []
    errors: list[FieldError] = []
    for rule in schema.get("x-kubernetes-validations") or ():
        errors += _check_rule(rule, schema, value, old, path)
    if isinstance(value, dict):
        properties, others = schema.get("properties") or {}, schema.get("additionalProperties")
        for key, inner in value.items():
            shape = properties.get(key, others)
            if isinstance(shape, dict) and not (not path and key == "metadata"):
                before = old.get(key) if isinstance(old, dict) else None
                errors += _check_rules(shape, inner, before, _join(path, key))
    elif isinstance(value, list):
        before_of = earlier_elements(schema, old)
        for index, inner in enumerate(value):
            errors += _check_rules(schema.get("items") or {}, inner, before_of(inner), f"{path}[{index}]")
    return errors


def _check_rule(rule: Json, schema: Json, value: Any, old: Any, path: str) -> list[FieldError]:
    where, kind = path or "<nil>", schema.get("type", "")
    text = rule["rule"].strip()
    try:
        program = cel.compiled(rule["rule"], optional=bool(rule.get("optionalOldSelf")))
        if program.transition and old is None and not rule.get("optionalOldSelf"):
            return []
        if not program.transition and old is not None and same(value, old):
            return []
        now, before = cel.value_of(schema, value), cel.value_of(schema, old)
        if program.evaluate(now, before) is True:
            return []
    except cel.RuleError as error:
        detail = f"{error} evaluating rule: {rule.get('message', '').strip() or text}"
        return [FieldError("FieldValueInvalid", where, f"Invalid value: {quoted(kind)}: {detail}")]
    message = _own_message(rule, now, before) or rule.get("message", "").strip() or f"failed rule: {text}"
    where = (path + _normal_path(rule.get("fieldPath", ""))).lstrip(".") or "<nil>"
    reason = rule.get("reason", "FieldValueInvalid")
    if reason == "FieldValueForbidden":
        return [forbidden_field(where, message)]
    if reason == "FieldValueRequired":
        return [required(where, message)]
    if reason == "FieldValueDuplicate":
        return [duplicate(where, value)]
    return [FieldError(reason, where, f"Invalid value: {quoted(kind)}: {message}")]


_LONGEST_MESSAGE = 5 * 1024


def _own_message(rule: Json, now: Any, before: Any) -> str:
    """What the rule's messageExpression says; empty where it cannot be used, as `message` is then."""
    if not rule.get("messageExpression"):
        return ""
    optional = bool(rule.get("optionalOldSelf"))
    try:
        said = cel.compiled(rule["messageExpression"], optional=optional).evaluate(now, before)
    except cel.RuleError:
        return ""
    text = said.strip() if isinstance(said, str) else ""
    return text if len(text) <= _LONGEST_MESSAGE and "\n" not in text and "\r" not in text else ""


def _normal_path(path: str) -> str:
    """A rule's fieldPath as field errors write it: `.a['b.c']` is `.a[b.c]`."""
    return re.sub(r"\['([^']*)'\]", r"[\1]", path.strip())


def check_structural(schema: Json, path: str) -> list[FieldError]:
    """What keeps a schema from being structural; its rules are checked apart."""
    errors: list[FieldError] = []
    if not schema.get("type") and not schema.get(EITHER) and not schema.get(KEEP):
        errors.append(required(f"{path}.type", "must not be empty for specified object fields"))
    if schema.get("type") == "array" and not schema.get("items"):
        errors.append(required(f"{path}.items", "must be specified"))
    if schema.get("properties") and schema.get("additionalProperties") is not None:
        errors.append(forbidden_field(f"{path}.additionalProperties", "must not be set if properties is set"))
    if schema.get("x-kubernetes-list-type") == "map" and not schema.get("x-kubernetes-list-map-keys"):
        detail = "must not be empty if x-kubernetes-list-type is map"
        errors.append(required(f"{path}.x-kubernetes-list-map-keys", detail))
    if "default" in schema and (wrong := _check(schema, schema["default"], None, f"{path}.default")):
        errors += wrong
    for key, inner in (schema.get("properties") or {}).items():
        errors += check_structural(inner, f"{path}.properties[{key}]")
    for word in ("items", "additionalProperties"):
        if isinstance(inner := schema.get(word), dict):
            errors += check_structural(inner, f"{path}.{word}")
    return errors
