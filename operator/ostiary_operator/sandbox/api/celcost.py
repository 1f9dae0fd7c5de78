"""What a rule may cost at most, by the sizes that its schema allows, in Kubernetes' units.

A step costs one; reading a text costs a tenth of its length; a loop costs what it does for each element, as
many as the schema lets there be. Where the schema sets no limit the size of a request does.
"""

from dataclasses import dataclass, field
from typing import Any

from ostiary_operator.sandbox.api.cel import escaped
from ostiary_operator.sandbox.api.wire import parts, some_bytes

Json = dict[str, Any]

MOST_OF_A_RULE = 10_000_000
MOST_OF_A_SCHEMA = 100_000_000
_REQUEST = 3 * 1024 * 1024
_TOP = (1 << 64) - 1
_READ = 0.1
_REGEX = 0.25
_LIST, _MAP, _STRUCT = 10, 30, 40
_COMPARISONS = frozenset(("_==_", "_!=_", "_<_", "_<=_", "_>_", "_>=_"))
_READERS = frozenset(
    ("lowerAscii", "upperAscii", "trim", "split", "replace", "substring", "indexOf",
     "lastIndexOf", "sum", "min", "max", "isSorted", "join", "string", "bytes", "timestamp", "duration",
     "find", "findAll", "isIP", "isCIDR", "isURL", "isQuantity")
)  # fmt: skip


def bounded(cost: float) -> int:
    """A cost as a number that does not grow beyond all bounds."""
    return int(min(cost, _TOP))


def exceeded(name: str, cost: int, limit: int) -> str:
    """That something costs too much, in Kubernetes' words."""
    times = cost / limit
    factor = "more than 100x" if times > 100 else f"{times:f}x" if times < 1.5 else f"{times:.1f}x"
    advice = (
        "try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and "
        "strings are declared"
    )
    return f"{name} exceeds budget by factor of {factor} ({advice})"


def _least_bytes(schema: Json) -> int:
    """How short a value can be as JSON."""
    kind, form = schema.get("type"), schema.get("format")
    if kind == "object":
        if isinstance(schema.get("additionalProperties"), dict):
            return 2
        properties = schema.get("properties") or {}
        return 2 + sum(
            len(name) + _least_bytes(properties[name]) + 4
            for name in schema.get("required") or ()
            if name in properties and "default" not in properties[name]
        )
    if kind == "string":
        return {"duration": 3, "date": 12, "date-time": 21}.get(str(form), 2)
    return {"array": 2, "boolean": 4}.get(str(kind), 1)


def most_values(schema: Json) -> int:
    """How many values of a schema one request can have."""
    return _REQUEST // (_least_bytes(schema) + 1)


def most_elements(schema: Json) -> int | None:
    """How many values a value of this schema contains of the one within; None where there is no limit."""
    if schema.get("type") == "array":
        return schema.get("maxItems")
    if isinstance(schema.get("additionalProperties"), dict):
        return schema.get("maxProperties")
    return 1


def _size(schema: Json) -> int:
    """The most characters, elements or entries of a value; 1 for what has no size."""
    kind = schema.get("type")
    if schema.get("x-kubernetes-int-or-string") or kind == "string":
        if schema.get("format") in ("duration", "date-time"):
            return 32
        if "maxLength" in schema:
            return int(schema["maxLength"]) * (1 if schema.get("format") == "byte" else 4)
        texts = [len(one) for one in schema.get("enum") or () if isinstance(one, str)]
        return max(texts) if texts else _REQUEST - 2
    if kind == "array":
        most = schema.get("maxItems")
        return (_REQUEST - 2) // (_least_bytes(schema.get("items") or {}) + 1) if most is None else most
    if isinstance(others := schema.get("additionalProperties"), dict):
        most = schema.get("maxProperties")
        return (_REQUEST - 2) // (_least_bytes(others) + 6) if most is None else most
    return 1


_TEXT: Json = {"type": "string"}


@dataclass(frozen=True)
class _Node:
    """What an expression costs, and what is known of its value."""

    cost: float
    schema: Json = field(default_factory=dict)
    size: float = 1


def estimate(checked: bytes, schema: Json) -> int:
    """The most that a compiled expression costs for a value of the schema."""
    message = some_bytes(dict(parts(checked))[2])  # a `cel.expr.CheckedExpr` within an `Any`
    expression = some_bytes(dict(parts(message))[4])
    before = {"type": "array", "items": schema, "maxItems": 1}
    known = {"self": schema, "oldSelf": schema, "__old": before}
    return bounded(_estimate(expression, known).cost)


def _of(cost: float, schema: Json) -> _Node:
    return _Node(cost, schema, _size(schema))


def _estimate(data: bytes, known: dict[str, Json]) -> _Node:
    found = dict(parts(data))
    for number, step in _STEPS.items():
        if number in found:
            return step(some_bytes(found[number]), known)
    return _Node(0)


def _constant(data: bytes, known: dict[str, Json]) -> _Node:
    value = next((one for number, one in parts(data) if number in (6, 7)), b"")
    return _Node(0, {}, max(len(value), 1))


def _name(data: bytes, known: dict[str, Json]) -> _Node:
    name = str(some_bytes(dict(parts(data)).get(1, b"")), "utf-8")
    return _of(1, known[name]) if name in known else _Node(1)


def _select(data: bytes, known: dict[str, Json]) -> _Node:
    fields = dict(parts(data))
    operand = _estimate(some_bytes(fields[1]), known)
    name = str(some_bytes(fields[2]), "utf-8")
    if fields.get(3):
        return _Node(operand.cost + 1)
    return _of(operand.cost + 1, _within(operand.schema, name))


def _within(schema: Json, name: str) -> Json:
    properties = schema.get("properties") or {}
    found = next((inner for key, inner in properties.items() if escaped(key) == name), None)
    others = schema.get("additionalProperties")
    return found or (others if isinstance(others, dict) else {})


def _call(data: bytes, known: dict[str, Json]) -> _Node:
    function, nodes = "", []
    for number, value in parts(data):
        if number == 2:
            function = str(some_bytes(value), "utf-8")
        else:
            nodes.append(_estimate(some_bytes(value), known))
    total, sizes = sum(node.cost for node in nodes), [node.size for node in nodes]
    if function in ("_&&_", "_||_"):
        return _Node(total)
    if function == "_?_:_":
        dearer = max(nodes[1:], key=lambda node: node.cost)
        return _Node(nodes[0].cost + dearer.cost, dearer.schema, max(sizes[1:]))
    if function in _COMPARISONS:
        return _Node(total + max(min(sizes) * _READ, 1))
    if function in ("_[_]", "_[?_]"):
        others = nodes[0].schema.get("items") or nodes[0].schema.get("additionalProperties")
        return _of(total + 1, others if isinstance(others, dict) else {})
    if function in ("@in", "_in_"):
        return _Node(total + max(sizes[1], 1))
    if function in ("startsWith", "endsWith"):
        return _Node(total + max(sizes[1] * _READ, 1))
    if function == "contains":
        return _Node(total + max(sizes[0] * _READ, 1) * max(sizes[1] * _READ, 1))
    if function == "matches":
        return _Node(total + (sizes[0] + 1) * _READ * max(sizes[1] * _REGEX, 1))
    if function == "_+_":
        return _Node(total + max(sum(sizes) * _READ, 1), nodes[0].schema, sum(sizes))
    if function.startswith("sets."):
        return _Node(total + sizes[0] * sizes[1])
    if function in _READERS:
        return _Node(total + max(sum(sizes) * _READ, 1), _TEXT, sum(sizes))
    return _Node(total + 1, nodes[0].schema if nodes else {}, max(sizes, default=1))


def _list(data: bytes, known: dict[str, Json]) -> _Node:
    elements = [_estimate(some_bytes(one), known) for number, one in parts(data) if number == 1]
    schema = {"type": "array", "items": elements[0].schema if elements else {}, "maxItems": len(elements)}
    return _Node(_LIST + sum(node.cost for node in elements), schema, len(elements))


def _struct(data: bytes, known: dict[str, Json]) -> _Node:
    cost, base = 0.0, _MAP
    for number, value in parts(data):
        if number == 1:
            base = _STRUCT
        else:
            inner = [one for key, one in parts(some_bytes(value)) if key in (3, 4)]
            cost += sum(_estimate(some_bytes(one), known).cost for one in inner)
    return _Node(base + cost)


def _loop(data: bytes, known: dict[str, Json]) -> _Node:
    fields = dict(parts(data))
    over = _estimate(some_bytes(fields[2]), known)
    first, last = (_estimate(some_bytes(fields[number]), known) for number in (4, 7))
    inner = over.schema.get("items")
    name = str(some_bytes(fields[1]), "utf-8")
    within = known | {name: inner if isinstance(inner, dict) else _TEXT}
    each = sum(_estimate(some_bytes(fields[number]), within).cost for number in (5, 6))
    return _Node(over.cost + first.cost + last.cost + over.size * each, over.schema, over.size)


_STEPS = {3: _constant, 4: _name, 5: _select, 6: _call, 7: _list, 8: _struct, 9: _loop}
