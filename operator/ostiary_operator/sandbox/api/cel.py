"""Validation rules (`x-kubernetes-validations`) in the Common Expression Language.

The language is Google's own implementation. What Kubernetes adds to it that rules commonly use - sums, order,
sets, regular expressions, whether a text is a quantity, an address or a URL - is added here; positions in
lists, and quantities, addresses and URLs as values are not.
"""

import base64
import re
from collections.abc import Sequence
from functools import cache
from ipaddress import ip_address, ip_network
from itertools import pairwise
from typing import Any
from urllib.parse import urlsplit

from cel_expr_python import cel
from cel_expr_python.ext import ext_optional, ext_strings
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from ostiary_operator.sandbox.api.values import quantity

Json = dict[str, Any]

_T = cel.Type


def _overload(
    name: str, returns: "cel.Type", parameters: Sequence["cel.Type"], impl: Any, *, member: bool = True
) -> cel.FunctionDecl:
    place = f"k8s_{name.replace('.', '_')}"
    overload = cel.Overload(place, return_type=returns, parameters=parameters, is_member=member, impl=impl)
    return cel.FunctionDecl(name, [overload])


def _plain(name: str, returns: "cel.Type", parameters: Sequence["cel.Type"], impl: Any) -> cel.FunctionDecl:
    return _overload(name, returns, parameters, impl, member=False)


def _is_sorted(items: list[Any]) -> bool:
    return all(one <= other for one, other in pairwise(items))


def _holds(check: Any, *errors: type[Exception]) -> Any:
    """A function that says whether `check` raises nothing."""

    def holds(text: str) -> bool:
        try:
            check(text)
        except errors:
            return False
        return True

    return holds


def _url(text: str) -> None:
    parts = urlsplit(text)
    if not (parts.scheme and parts.netloc) and not text.startswith("/"):
        raise ValueError("no absolute URL")


_PAIR = [_T.LIST, _T.LIST]
_FUNCTIONS = [
    _overload("sum", _T.DYN, [_T.LIST], sum),
    _overload("min", _T.DYN, [_T.LIST], min),
    _overload("max", _T.DYN, [_T.LIST], max),
    _overload("isSorted", _T.BOOL, [_T.LIST], _is_sorted),
    _plain("sets.contains", _T.BOOL, _PAIR, lambda one, other: all(value in one for value in other)),
    _plain(
        "sets.equivalent", _T.BOOL, _PAIR,
        lambda one, other: all(value in one for value in other) and all(value in other for value in one),
    ),
    _plain("sets.intersects", _T.BOOL, _PAIR, lambda one, other: any(value in one for value in other)),
    _overload("find", _T.STRING, [_T.STRING, _T.STRING],
              lambda text, pattern: found[0] if (found := re.search(pattern, text)) else ""),
    _overload("findAll", _T.List(_T.STRING), [_T.STRING, _T.STRING],
              lambda text, pattern: [found[0] for found in re.finditer(pattern, text)]),
    _plain("isIP", _T.BOOL, [_T.STRING], _holds(ip_address, ValueError)),
    _plain("isCIDR", _T.BOOL, [_T.STRING], _holds(ip_network, ValueError)),
    _plain("isURL", _T.BOOL, [_T.STRING], _holds(_url, ValueError)),
    _plain("isQuantity", _T.BOOL, [_T.STRING], _holds(quantity, ValueError)),
]  # fmt: skip
OLD, OPTIONAL_OLD = "oldSelf", "__old[?0]"
"""The value before; and as a rule with `optionalOldSelf` sees it: the first of a list that may be empty."""


def environment(**more: Any) -> cel.Env:
    """The language with what Kubernetes adds to it."""
    extensions = [ext_strings.ExtStrings(), ext_optional.ExtOptional()]
    return cel.NewEnv(functions=_FUNCTIONS, extensions=extensions, **more)


@cache
def _dynamic() -> cel.Env:
    return environment(variables={"self": _T.DYN, OLD: _T.DYN, "__old": _T.LIST})


class RuleError(ValueError):
    """A rule that does not compile, or cannot be evaluated."""


_TOKENS = re.compile(
    r"""[rRbB]{0,2}(?:\"{3}.*?\"{3}|'{3}.*?'{3}|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')"""
    r"""|//[^\n]*|\.\s*[_a-zA-Z]\w*|[_a-zA-Z]\w*""",
    re.DOTALL,
)
"""Texts, comments, selected fields and names of an expression."""


def uses_old(expression: str) -> bool:
    """Whether an expression refers to the value before."""
    return any(match[0] == OLD for match in _TOKENS.finditer(expression))


def with_optional_old(expression: str) -> str:
    """An expression that sees the value before as an optional."""
    return _TOKENS.sub(lambda match: OPTIONAL_OLD if match[0] == OLD else match[0], expression)


def compiled_in(env: cel.Env, expression: str) -> cel.Expression:
    """An expression compiled; RuleError in the words of Kubernetes' compiler where it cannot be."""
    try:
        return env.compile(expression)
    except RuntimeError as error:
        told = str(error).removeprefix("INVALID_ARGUMENT: ").removesuffix(" [INVALID_ARGUMENT]")
        told = re.sub(r"(undefined field '[^']*') not found in struct '[^']*'", r"\1", told)
        raise RuleError(told) from error


class Rule:
    """One compiled rule."""

    def __init__(self, expression: str, *, optional: bool = False) -> None:
        self.expression = expression
        self.transition = uses_old(expression)
        self._program = compiled_in(_dynamic(), with_optional_old(expression) if optional else expression)

    def evaluate(self, self_: Any, old: Any) -> Any:
        """The rule's value."""
        before = [] if old is None else [old]
        result = self._program.eval(data={"self": self_, OLD: old, "__old": before})
        if result.type() == _T.ERROR:
            raise RuleError(str(result.value()))
        return result.plain_value()


@cache
def compiled(expression: str, *, optional: bool = False) -> Rule:
    """The rule for an expression, compiled once; RuleError where it does not compile."""
    return Rule(expression, optional=optional)


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
