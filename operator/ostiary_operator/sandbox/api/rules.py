"""Rules of a definition, checked when it is made: their types, what they refer to, and what they may cost."""

import re
from dataclasses import dataclass, field
from typing import Any

from cel_expr_python import cel as google

from ostiary_operator.sandbox.api import cel, celcost
from ostiary_operator.sandbox.api.celtypes import Declarations, of_object
from ostiary_operator.sandbox.api.status import (
    FieldError,
    forbidden_field,
    invalid_value,
    required,
    unsupported,
)

Json = dict[str, Any]
Errors = list[FieldError]

RULES = "x-kubernetes-validations"
_REASONS = ("FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired")
_BREAK = re.compile(r"[\n\r]")
_STEP = re.compile(r"\.([^.\[\]']+)|\['([^']+)'\]")


@dataclass
class _Scope:
    """Where in a schema the check is."""

    path: str
    count: int | None = 1
    """How many values of the schema an object can have; None is any number."""
    unrelated: str = ""
    """The list whose elements cannot be told apart, in which rules have no value before."""


@dataclass
class _Costs:
    total: int = 0
    dearest: list[tuple[int, str]] = field(default_factory=list)

    def add(self, cost: int, path: str) -> None:
        self.total += cost
        self.dearest = sorted([*self.dearest, (cost, path)], reverse=True)[:4]


def check_rules(schema: Json, path: str) -> Errors:
    """What is wrong with the rules of a version's schema, which must be structural."""
    errors = _check_texts(schema, path)
    if errors:
        return errors
    costs = _Costs()
    errors = _check(of_object(schema), _Scope(path), costs)
    if costs.total > celcost.MOST_OF_A_SCHEMA:
        told = "contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema"
        errors += [forbidden_field(where, told) for cost, where in costs.dearest if cost]
        name = f"{RULES} estimated rule cost total for entire OpenAPIv3 schema"
        errors.append(forbidden_field(path, celcost.exceeded(name, costs.total, celcost.MOST_OF_A_SCHEMA)))
    return errors


def _children(schema: Json, path: str) -> list[tuple[Json, str]]:
    found = [(inner, f"{path}.properties[{key}]") for key, inner in (schema.get("properties") or {}).items()]
    words = ("items", "additionalProperties")
    return found + [(schema[word], f"{path}.{word}") for word in words if isinstance(schema.get(word), dict)]


def _check_texts(schema: Json, path: str) -> Errors:
    errors: Errors = []
    for index, rule in enumerate(schema.get(RULES) or ()):
        errors += _check_text(rule, schema, f"{path}.{RULES}[{index}]")
    for inner, where in _children(schema, path):
        errors += _check_texts(inner, where)
    return errors


def _check_text(rule: Json, schema: Json, path: str) -> Errors:
    errors: Errors = []
    text, message = rule.get("rule", "").strip(), rule.get("message", "")
    if not text:
        errors.append(required(f"{path}.rule", "rule is not specified"))
    elif message and not message.strip():
        errors.append(invalid_value(f"{path}.message", message, "must be non-empty if specified"))
    elif _BREAK.search(message.strip()):
        errors.append(invalid_value(f"{path}.message", message, "must not contain line breaks"))
    elif _BREAK.search(text) and not message:
        detail = "message must be specified if rule contains line breaks"
        errors.append(required(f"{path}.message", detail))
    expression = rule.get("messageExpression", "")
    if expression and not expression.strip():
        detail = "messageExpression must be non-empty if specified"
        errors.append(required(f"{path}.messageExpression", detail))
    if rule.get("reason") not in (None, *_REASONS):
        errors.append(unsupported(f"{path}.reason", rule["reason"], _REASONS))
    if (place := rule.get("fieldPath", "")) and not _leads(schema, place):
        errors.append(invalid_value(f"{path}.fieldPath", place, "must be a valid path"))
    return errors


def _leads(schema: Json, path: str) -> bool:
    """Whether a fieldPath names something that the schema has."""
    place = 0
    while place < len(path):
        match = _STEP.match(path, place)
        if match is None:
            return False
        name, others = match[1] or match[2], schema.get("additionalProperties")
        inner = (schema.get("properties") or {}).get(name)
        if inner is None and isinstance(others, dict):
            inner = others
        if inner is None:
            return False
        schema, place = inner, match.end()
    return True


def _check(schema: Json, scope: _Scope, costs: _Costs) -> Errors:
    errors: Errors = []
    rules = schema.get(RULES) or ()
    if rules:
        declared = Declarations(schema)
        for index, rule in enumerate(rules):
            errors += _check_rule(rule, schema, declared, scope, f"{scope.path}.{RULES}[{index}]", costs)
    for inner, path in _children(schema, scope.path):
        errors += _check(inner, _inside(schema, scope, path), costs)
    return errors


def _inside(schema: Json, scope: _Scope, path: str) -> _Scope:
    count, most = scope.count, celcost.most_elements(schema)
    count = None if count is None or most is None else count * most
    unrelated = scope.unrelated
    by_key = schema.get("x-kubernetes-list-type") == "map"
    if schema.get("x-kubernetes-map-type") == "atomic" or (schema.get("type") == "array" and not by_key):
        unrelated = unrelated or scope.path
    return _Scope(path, count, unrelated)


def _check_rule(
    rule: Json, schema: Json, declared: Declarations, scope: _Scope, path: str, costs: _Costs
) -> Errors:
    optional = bool(rule.get("optionalOldSelf"))
    variables = {"self": declared.type, cel.OLD: declared.type, "__old": google.Type.List(declared.type)}
    env = cel.environment(descriptor_pool=declared.pool, variables=variables)

    def compile_(text: str) -> google.Expression:
        return cel.compiled_in(env, cel.with_optional_old(text) if optional else text)

    errors: Errors = []
    text = rule["rule"]
    try:
        program = compile_(text)
    except cel.RuleError as error:
        return [invalid_value(f"{path}.rule", text, f"compilation failed: {error}")]
    if program.return_type() != google.Type.BOOL:
        return [invalid_value(f"{path}.rule", text, "cel expression must evaluate to a bool")]
    errors += _check_cost(program, "rule", schema, scope, path, costs)
    if expression := rule.get("messageExpression", ""):
        where = f"{path}.messageExpression"
        try:
            said = compile_(expression)
        except cel.RuleError as error:
            errors.append(invalid_value(where, expression, f"messageExpression compilation failed: {error}"))
        else:
            if said.return_type() != google.Type.STRING:
                errors.append(invalid_value(where, expression, "messageExpression must evaluate to a string"))
            else:
                errors += _check_cost(said, "messageExpression", schema, scope, path, costs)
    if not cel.uses_old(text):
        if rule.get("optionalOldSelf") is not None:
            detail = "may not be set if oldSelf is not used in rule"
            errors.append(invalid_value(f"{path}.optionalOldSelf", optional, detail))
    elif scope.unrelated:
        detail = (
            f"oldSelf cannot be used on the uncorrelatable portion of the schema within {scope.unrelated}"
        )
        errors.append(invalid_value(f"{path}.rule", text, detail))
    return errors


def _check_cost(
    program: google.Expression, word: str, schema: Json, scope: _Scope, path: str, costs: _Costs
) -> Errors:
    cost = celcost.estimate(program.serialize(), schema)
    if word == "rule":
        count = scope.count if scope.count is not None else celcost.most_values(schema)
        cost = celcost.bounded(cost * count)
    costs.add(cost, f"{path}.{word}")
    if cost <= celcost.MOST_OF_A_RULE:
        return []
    told = celcost.exceeded(f"estimated {word} cost", cost, celcost.MOST_OF_A_RULE)
    return [forbidden_field(f"{path}.{word}", told)]
