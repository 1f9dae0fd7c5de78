"""JSON values: copying, comparing and printing them as Kubernetes does."""

import json
import re
from typing import Any

Json = dict[str, Any]


def copied(value: Any) -> Any:
    """A deep copy of a JSON value; much quicker than `copy.deepcopy`, which looks for cycles."""
    if isinstance(value, dict):
        return {key: copied(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [copied(inner) for inner in value]
    return value


def same(one: Any, other: Any) -> bool:
    """Whether two JSON values are equal; unlike Python's `==`, true is not 1."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def quoted(value: object) -> str:
    """A value as it stands in error messages."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def encoded(value: object) -> bytes:
    """A value as compact JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def at(value: Any, *path: str, default: Any = None) -> Any:
    """What lies under nested keys, or `default`."""
    for key in path:
        if not isinstance(value, dict) or key not in value:
            return default
        value = value[key]
    return value if value is not None else default


_SUFFIXES = {
    "": 1.0, "n": 1e-9, "u": 1e-6, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18,
    "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40, "Pi": 2.0**50, "Ei": 2.0**60,
}  # fmt: skip
_QUANTITY = re.compile(r"^([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))([numkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]+|)$")


def quantity(value: object) -> float:
    """A resource quantity (`500m`, `2Gi`, 3) as a number; ValueError where it is none."""
    match = _QUANTITY.match(str(value))
    if match is None or isinstance(value, bool):
        raise ValueError(
            "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
        )
    number, suffix = match.groups()
    if suffix in _SUFFIXES:
        return float(number) * _SUFFIXES[suffix]
    return float(number) * 10.0 ** int(suffix[1:])


def plain_quantity(number: float) -> str:
    """A number as a quantity, in thousandths at the finest."""
    thousandths = round(number * 1000)
    return str(thousandths // 1000) if thousandths % 1000 == 0 else f"{thousandths}m"


def scaled(value: Any, whole: int, *, up: bool) -> int:
    """An int-or-percent of `whole`, rounded up or down."""
    if isinstance(value, int):
        return value
    text = str(value)
    if not text.endswith("%"):
        return int(text)
    part = int(text[:-1]) * whole
    return -(-part // 100) if up else part // 100
