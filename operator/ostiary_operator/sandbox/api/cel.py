"""Validation rules (`x-kubernetes-validations`) in the Common Expression Language.

The language is Google's own implementation. What Kubernetes adds to it that rules commonly use - sums, order,
positions, sets - is added here; quantities, URLs, IP addresses and cost limits are not.
"""

import base64
import re
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from typing import Any

from cel_expr_python import cel
from cel_expr_python.ext import ext_optional, ext_strings
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

Json = dict[str, Any]

_T = cel.Type


def _member(name: str, returns: "cel.Type", parameters: Sequence["cel.Type"], impl: Any) -> cel.FunctionDecl:
    overload = cel.Overload(
        f"k8s_{name}", return_type=returns, parameters=parameters, is_member=True, impl=impl
    )
    return cel.FunctionDecl(name, [overload])


def _is_sorted(items: list[Any]) -> bool:
    return all(one <= other for one, other in pairwise(items))


def _position(items: list[Any], value: Any) -> int:
    return items.index(value) if value in items else -1


_FUNCTIONS = [
    _member("sum", _T.DYN, [_T.LIST], sum),
    _member("min", _T.DYN, [_T.LIST], min),
    _member("max", _T.DYN, [_T.LIST], max),
    _member("isSorted", _T.BOOL, [_T.LIST], _is_sorted),
    cel.FunctionDecl(
        "sets.contains",
        [cel.Overload("k8s_sets_contains", return_type=_T.BOOL, parameters=[_T.LIST, _T.LIST],
                      impl=lambda one, other: all(value in one for value in other))],
    ),
    _member("find", _T.STRING, [_T.STRING, _T.STRING],
            lambda text, pattern: found[0] if (found := re.search(pattern, text)) else ""),
]  # fmt: skip


@cache
def _environment() -> cel.Env:
    return cel.NewEnv(
        variables={"self": _T.DYN, "oldSelf": _T.DYN},
        functions=_FUNCTIONS,
        extensions=[ext_strings.ExtStrings(), ext_optional.ExtOptional()],
    )


class RuleError(ValueError):
    """A rule that does not compile, or cannot be evaluated."""


class Rule:
    """One compiled rule."""

    def __init__(self, expression: str) -> None:
        try:
            self._program = _environment().compile(expression)
        except RuntimeError as error:
            raise RuleError(str(error).removesuffix(" [INVALID_ARGUMENT]")) from error
        self.expression = expression
        self.transition = re.search(r"\boldSelf\b", expression) is not None

    def evaluate(self, self_: Any, old: Any) -> Any:
        """The rule's value."""
        result = self._program.eval(data={"self": self_, "oldSelf": old})
        if result.type() == _T.ERROR:
            raise RuleError(str(result.value()))
        return result.plain_value()


@cache
def compiled(expression: str) -> Rule:
    """The rule for an expression, compiled once; RuleError where it does not compile."""
    return Rule(expression)


_KEYWORDS = frozenset(
    (
        "true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if",
        "import", "let", "loop", "package", "namespace", "return", "var", "void", "while",
    )
)  # fmt: skip
_ESCAPES = {"__": "__underscores__", ".": "__dot__", "-": "__dash__", "/": "__slash__"}


def escaped(name: str) -> str:
    """A field's name as rules write it."""
    if name in _KEYWORDS:
        return f"__{name}__"
    return re.sub(r"__|[.\-/]", lambda match: _ESCAPES[match[0]], name)


_DURATION = re.compile(r"(\d+(?:\.\d+)?)(h|ms|us|µs|ns|m|s)")
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}


def value_of(schema: Json, value: Any) -> Any:
    """A JSON value as the type that its schema gives it in rules."""
    if isinstance(value, dict):
        properties = schema.get("properties")
        if properties is not None:
            return {
                escaped(key): value_of(properties.get(key, {}), inner)
                for key, inner in value.items()
                if key in properties or schema.get("x-kubernetes-preserve-unknown-fields")
            }
        inner_schema = schema.get("additionalProperties")
        shape = inner_schema if isinstance(inner_schema, dict) else {}
        return {key: value_of(shape, inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [value_of(schema.get("items") or {}, inner) for inner in value]
    if schema.get("type") == "number" and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, str):
        return _text(schema.get("format"), value)
    return value


def _text(form: str | None, value: str) -> Any:
    if form in ("date-time", "date"):
        moment = Timestamp()
        try:
            moment.FromJsonString(value if form == "date-time" else f"{value}T00:00:00Z")
        except ValueError:
            return value
        return moment
    if form == "duration":
        length = Duration()
        parts = _DURATION.findall(value)
        length.FromNanoseconds(round(sum(float(number) * _SECONDS[unit] for number, unit in parts) * 1e9))
        return length
    if form == "byte":
        return base64.b64decode(value)
    return value
