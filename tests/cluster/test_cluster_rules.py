"""Rules before they are served: what they refer to, the types that they see, and what they may cost."""

from typing import Any

import pytest
from cel_expr_python import cel as google
from hypothesis import given
from hypothesis import strategies as st

from cluster.shapes import WIDGETS
from ostiary_operator.sandbox.api import cel, celcost
from ostiary_operator.sandbox.api.celtypes import Declarations, of_object
from ostiary_operator.sandbox.api.resources import BUILT_IN
from ostiary_operator.sandbox.api.rules import check_rules
from ostiary_operator.sandbox.api.validation import check

Json = dict[str, Any]


@pytest.mark.parametrize(
    ("expression", "uses"),
    [
        pytest.param("self == oldSelf", True, id="name"),
        pytest.param("oldSelf.size > 1", True, id="its field"),
        pytest.param("self.oldSelf == 1", False, id="a field of that name"),
        pytest.param("self == 'oldSelf'", False, id="text"),
        pytest.param('self == r"\\oldSelf" ', False, id="raw text"),
        pytest.param("self.oldSelfish == 1 // oldSelf", False, id="comment"),
        pytest.param("self == '''it's oldSelf''' || oldSelf == 1", True, id="after a long text"),
    ],
)
def test_rules_that_compare(expression: str, uses: bool) -> None:
    """Only the name itself makes a rule one of transition."""
    assert cel.uses_old(expression) is uses


_SHAPE: Json = {
    "type": "object",
    "properties": {
        "texts": {"type": "array", "items": {"type": "array", "items": {"type": "string"}}},
        "maps": {
            "type": "object",
            "additionalProperties": {"type": "object", "properties": {"a": {"type": "number"}}},
        },
        "x-y": {"type": "boolean"},
        "data": {"type": "string", "format": "byte"},
        "inner": {"type": "object", "x-kubernetes-embedded-resource": True},
        "free": {"x-kubernetes-preserve-unknown-fields": True},
    },
}  # fmt: skip


@pytest.mark.parametrize(
    ("expression", "kind"),
    [
        pytest.param("self.metadata.name", google.Type.STRING, id="name of the object"),
        pytest.param("self.metadata.labels", None, id="no more of its metadata"),
        pytest.param("self.inner.kind", google.Type.STRING, id="embedded object"),
        pytest.param("self.maps['a'].a", google.Type.DOUBLE, id="map of objects"),
        pytest.param("self.maps['a'].b", None, id="no such field in a map"),
        pytest.param("self.texts[0]", google.Type.DYN, id="lists in lists are dynamic"),
        pytest.param("self.x__dash__y", google.Type.BOOL, id="escaped name"),
        pytest.param("self.data", google.Type.BYTES, id="bytes"),
        pytest.param("self.free", None, id="what has no type cannot be seen"),
        pytest.param("[3, 1].isSorted() && isIP('::1') && !isCIDR('x')", google.Type.BOOL, id="functions"),
        pytest.param("self.x__dash__y.find('a')", None, id="function of another type"),
    ],
)
def test_types_that_rules_see(expression: str, kind: "google.Type | None") -> None:
    """Each part of a schema has its type; what is not there does not compile."""
    declared = Declarations(of_object(_SHAPE))
    env = cel.environment(descriptor_pool=declared.pool, variables={"self": declared.type})
    if kind is None:
        with pytest.raises(cel.RuleError, match=r"undefined field|no matching overload"):
            cel.compiled_in(env, expression)
    else:
        assert cel.compiled_in(env, expression).return_type() == kind


def lists(items: int | None, length: int | None, rule: str) -> Json:
    """A schema with a list of texts within these limits, and a rule."""
    text: Json = {"type": "string"} | ({"maxLength": length} if length is not None else {})
    texts: Json = {"type": "array", "items": text} | ({"maxItems": items} if items is not None else {})
    return {"type": "object", "properties": {"texts": texts}, "x-kubernetes-validations": [{"rule": rule}]}


def cost(schema: Json) -> int:
    declared = Declarations(schema)
    env = cel.environment(descriptor_pool=declared.pool, variables={"self": declared.type})
    rule = schema["x-kubernetes-validations"][0]["rule"]
    return celcost.estimate(cel.compiled_in(env, rule).serialize(), schema)


_EACH = "self.texts.all(one, one.startsWith('a'))"
_PAIRS = "self.texts.all(one, self.texts.exists(other, one == other))"


@given(items=st.integers(1, 1000), length=st.integers(1, 1000), more=st.integers(1, 1000))
def test_more_costs_more(items: int, length: int, more: int) -> None:
    """A rule costs no less where a list may be longer, and a pair of loops more than one."""
    assert cost(lists(items, length, _EACH)) <= cost(lists(items + more, length, _EACH))
    assert cost(lists(items, length, _EACH)) <= cost(lists(items, length + more, _EACH))
    assert cost(lists(items, length, _PAIRS)) <= cost(lists(None, length, _PAIRS))
    if items > 3:
        assert cost(lists(items, length, _EACH)) < cost(lists(items, length, _PAIRS))


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        pytest.param(lists(10, 20, _PAIRS), [], id="within limits"),
        pytest.param(lists(None, 20, _PAIRS), ["more than 100x"], id="any number of elements"),
        pytest.param(lists(3000, 9, _PAIRS), ["x (try"], id="a little too much"),
        pytest.param(lists(None, None, _EACH), [], id="one loop over anything"),
    ],
)
def test_what_rules_may_cost(schema: Json, told: list[str]) -> None:
    """Rules that could take too long are refused with by how much."""
    errors = [str(error) for error in check_rules(schema, "schema") if error.path.endswith(".rule")]
    assert len(errors[:1]) == len(told)
    assert all(words in error for words, error in zip(told, errors, strict=False))


def test_a_definition_cannot_ask_for_conversion() -> None:
    """A webhook that would convert is refused, and not forgotten."""
    (definitions,) = (one for one in BUILT_IN if one.kind == "CustomResourceDefinition")
    webhook = {"strategy": "Webhook", "webhook": {"conversionReviewVersions": ["v1"]}}
    wanted = WIDGETS | {"spec": WIDGETS["spec"] | {"conversion": webhook}}
    (error,) = check(definitions, wanted, None)
    assert str(error) == (
        "spec.conversion.strategy: Forbidden: the sandbox converts by the strategy None alone"
    )
