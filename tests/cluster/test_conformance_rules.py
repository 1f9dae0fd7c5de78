"""Rules of definitions: what is refused when a definition is made, and what rules say of objects."""

from collections.abc import Iterator
from typing import Any

import pytest

from cluster.api_client import Api
from cluster.shapes import WIDGETS

Json = dict[str, Any]
_DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_RULES = "openAPIV3Schema.properties[spec].x-kubernetes-validations[0]"
_FEW = {"type": "array", "maxItems": 10, "items": {"type": "string", "maxLength": 20}}
_SPEC: Json = {
    "type": "object",
    "properties": {
        "size": {"type": "integer"},
        "name": {"type": "string", "maxLength": 20},
        "namespace": {"type": "string", "maxLength": 20},
        "few": _FEW,
        "many": {"type": "array", "items": {"type": "string"}},
        "limit": {"x-kubernetes-int-or-string": True},
        "labels": {
            "type": "object",
            "maxProperties": 5,
            "additionalProperties": {"type": "string", "maxLength": 9},
        },
        "until": {"type": "string", "format": "date-time"},
    },
}


def gauges(*rules: Json, **properties: Json) -> Json:
    """A definition of gauges, whose spec has these rules."""
    spec = _SPEC | {"properties": _SPEC["properties"] | properties, "x-kubernetes-validations": list(rules)}
    schema = {"type": "object", "properties": {"spec": spec}}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    names = {"plural": "gauges", "singular": "gauge", "kind": "Gauge", "listKind": "GaugeList"}
    return WIDGETS | {
        "metadata": {"name": "gauges.conformance.ostiary.dev"},
        "spec": {
            "group": "conformance.ostiary.dev",
            "scope": "Cluster",
            "names": names,
            "versions": [version],
        },
    }


@pytest.mark.parametrize(
    ("rule", "field", "reason", "words"),
    [
        pytest.param({"rule": "self.nope == 1"}, "rule", "Invalid", "undefined field 'nope'", id="no field"),
        pytest.param(
            {"rule": "self.size == 'a'"}, "rule", "Invalid", "no matching overload for '_==_'", id="types"
        ),
        pytest.param({"rule": "self.size + 1"}, "rule", "Invalid", "must evaluate to a bool", id="no bool"),
        pytest.param({"rule": "nothing(self)"}, "rule", "Invalid", "undeclared reference", id="function"),
        pytest.param({"rule": " "}, "rule", "Required", "rule is not specified", id="empty"),
        pytest.param(
            {"rule": "self.size > 1", "messageExpression": "self.size"},
            "messageExpression", "Invalid", "must evaluate to a string", id="message that is no text",
        ),
        pytest.param(
            {"rule": "self.size > 1", "message": "one\ntwo"},
            "message", "Invalid", "must not contain line breaks", id="message of two lines",
        ),
        pytest.param(
            {"rule": "self.size > 1", "reason": "Whim"},
            "reason", "NotSupported", "FieldValueForbidden", id="reason",
        ),
        pytest.param(
            {"rule": "self.size > 1", "fieldPath": ".nope"},
            "fieldPath", "Invalid", "must be a valid path", id="path",
        ),
        pytest.param(
            {"rule": "self.many.all(one, self.many.exists(other, one == other))"},
            "rule", "Forbidden", "exceeds budget by factor of more than 100x", id="cost",
        ),
    ],
)  # fmt: skip
def test_rules_that_cannot_be(api: Api, rule: Json, field: str, reason: str, words: str) -> None:
    """A rule is checked against the types of its schema, and for what it may cost, before it is served."""
    answer = api.post(_DEFINITIONS, gauges(rule))
    assert (answer.code, answer.reason) == (422, "Invalid"), answer.data
    found = [cause for cause in answer.causes if cause["field"].endswith(f"{_RULES}.{field}")]
    assert any(words in cause["message"] for cause in found), answer.data
    assert any(cause["reason"] == f"FieldValue{reason}" for cause in found), answer.data


def test_elements_that_cannot_be_told_apart_have_no_value_before(api: Api) -> None:
    """A transition rule within a list without keys is refused."""
    item = {"type": "string", "maxLength": 9, "x-kubernetes-validations": [{"rule": "self == oldSelf"}]}
    answer = api.post(_DEFINITIONS, gauges(names={"type": "array", "maxItems": 5, "items": item}))
    assert (answer.code, answer.reason) == (422, "Invalid"), answer.data
    assert "oldSelf cannot be used on the uncorrelatable portion of the schema" in answer.body["message"]


@pytest.fixture(scope="module")
def served(server: tuple[Api, dict[str, str]]) -> Iterator[str]:
    """Gauges with rules of every kind; where they are."""
    api = server[0]
    rules = [
        {"rule": "!has(self.size) || self.size < 100", "message": "too big"},
        {
            "rule": "!has(self.name) || self.name != 'bad'",
            "messageExpression": "'not called ' + self.name",
            "reason": "FieldValueForbidden",
            "fieldPath": ".name",
        },
        {
            "rule": "!has(self.few) || self.few.size() != 3",
            "messageExpression": "self.few[9]",
            "message": "not three",
        },
        {"rule": "!has(self.__namespace__) || self.__namespace__.startsWith('ns-')"},
        {
            "rule": "!has(self.limit)"
            " || (type(self.limit) == int ? self.limit < 5 : self.limit.endsWith('%'))",
            "message": "limit",
        },
        {"rule": "!has(self.labels) || self.labels.all(key, self.labels[key] != 'x')", "message": "labels"},
        {
            "rule": "!has(self.until) || self.until < timestamp('2030-01-01T00:00:00Z')",
            "message": "until",
            "reason": "FieldValueRequired",
        },
        {"rule": "!has(oldSelf.size) || (has(self.size) && self.size >= oldSelf.size)", "message": "shrinks"},
        {
            "rule": "oldSelf.hasValue() || !has(self.size) || self.size < 10",
            "optionalOldSelf": True,
            "message": "begins small",
        },
    ]  # fmt: skip
    api.made(_DEFINITIONS, gauges(*rules))
    path = "/apis/conformance.ostiary.dev/v1/gauges"
    api.until(path, lambda answer: answer.code == 200)
    yield path
    api.delete(f"{_DEFINITIONS}/gauges.conformance.ostiary.dev")
    api.until(path, lambda answer: answer.code == 404)


def gauge(**spec: Any) -> Json:
    kind = {"apiVersion": "conformance.ostiary.dev/v1", "kind": "Gauge"}
    return kind | {"metadata": {"generateName": "gauge-"}, "spec": spec}


@pytest.mark.parametrize(
    ("spec", "field", "reason", "words"),
    [
        pytest.param({"size": 100, "name": "a"}, "spec", "Invalid", "too big", id="message"),
        pytest.param(
            {"name": "bad"}, "spec.name", "Forbidden", "not called bad", id="messageExpression, reason, path"
        ),
        pytest.param(
            {"few": ["a", "b", "c"]}, "spec", "Invalid", "not three", id="a messageExpression that fails"
        ),
        pytest.param(
            {"namespace": "x"}, "spec", "Invalid", "failed rule: !has(self.__namespace__)", id="no message"
        ),
        pytest.param({"limit": 7}, "spec", "Invalid", "limit", id="an integer"),
        pytest.param({"limit": "7"}, "spec", "Invalid", "limit", id="or a string"),
        pytest.param({"labels": {"a": "x"}}, "spec", "Invalid", "labels", id="map"),
        pytest.param({"until": "2031-01-01T00:00:00Z"}, "spec", "Required", "until", id="time"),
        pytest.param({"size": 10}, "spec", "Invalid", "begins small", id="optional value before"),
    ],
)
def test_what_rules_say(api: Api, served: str, spec: Json, field: str, reason: str, words: str) -> None:
    """A failed rule is told at its place, for its reason and in its words."""
    answer = api.post(served, gauge(**spec))
    assert (answer.code, answer.reason) == (422, "Invalid"), answer.data
    found = [cause for cause in answer.causes if words in cause["message"]]
    assert [(cause["field"], cause["reason"]) for cause in found] == [(field, f"FieldValue{reason}")], (
        answer.data
    )


def test_what_rules_let_pass(api: Api, served: str) -> None:
    """Values within all rules are stored; a change is compared with what was before."""
    good = gauge(size=5, name="good", namespace="ns-a", few=["a"], limit="7%", until="2026-01-01T00:00:00Z")
    made = api.made(served, good)
    path = f"{served}/{made['metadata']['name']}"
    assert api.patch(path, {"spec": {"size": 50}}).code == 200
    answer = api.patch(path, {"spec": {"size": 4}})
    assert (answer.code, answer.reason) == (422, "Invalid")
    assert "shrinks" in answer.body["message"]
    api.delete(path)
