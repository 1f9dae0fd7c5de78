"""Checks of single fields, as Kubernetes words them."""

from typing import Any

from ostiary_operator.sandbox.api.status import FieldError, invalid_value, required, unsupported

Json = dict[str, Any]
Errors = list[FieldError]

IMMUTABLE = "field is immutable"


def not_negative(spec: Json, names: tuple[str, ...], path: str) -> Errors:
    """Those of the fields that are numbers below 0."""
    detail = "must be greater than or equal to 0"
    return [
        invalid_value(f"{path}.{name}", spec[name], detail)
        for name in names
        if isinstance(spec.get(name), int) and spec[name] < 0
    ]


def one_of(value: Any, allowed: tuple[str, ...], path: str) -> Errors:
    """A field that has to be there and to have one of some values."""
    if value in (None, ""):
        return [required(path)]
    return [] if value in allowed else [unsupported(path, value, allowed)]
