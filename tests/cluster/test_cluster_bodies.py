"""Whatever is sent, the answer is a Status that says what is wrong, and never a failure of the server."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cluster.api_client import APPLY_PATCH, JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH, Api
from cluster.sandbox_thread import SandboxThread
from ostiary_operator.sandbox.api import bodies
from ostiary_operator.sandbox.api.resources import BUILT_IN, Resource
from ostiary_operator.sandbox.cluster import Settings

Json = dict[str, Any]

_NUMBERS = st.integers(-3, 70_000) | st.floats(allow_nan=False, allow_infinity=False)
_LEAVES = st.none() | st.booleans() | _NUMBERS | st.text("xé/", max_size=2)
_ANYTHING = st.recursive(
    _LEAVES,
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["name", "metadata", "spec", "x"]), inner, max_size=2)
    ),
    max_leaves=6,
)  # fmt: skip
_PATCHES = (JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH, APPLY_PATCH)


@st.composite
def nearly(draw: st.DrawFn, schema: Json, depth: int = 0) -> Any:
    """Something like what a schema describes, here and there something else."""
    if draw(st.integers(0, 9)) == 0:
        return draw(_ANYTHING)
    if properties := schema.get("properties"):
        names = st.lists(st.sampled_from(sorted(properties)), max_size=3, unique=True)
        chosen = draw(names) if depth < 5 else []
        return {key: draw(nearly(properties[key], depth + 1)) for key in chosen}
    if schema.get("type") == "array":
        return [draw(nearly(schema.get("items") or {}, depth + 1))] if depth < 5 else []
    if isinstance(others := schema.get("additionalProperties"), dict):
        return {"a": draw(nearly(others, depth + 1))}
    plain = {"string": st.just("x"), "integer": st.integers(-1, 9), "boolean": st.booleans()}
    return draw(plain.get(str(schema.get("type")), _ANYTHING))


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, str, Any, dict[str, str]]:
    """A write of one of the kinds that there are."""
    resource: Resource = draw(st.sampled_from(BUILT_IN))
    body = draw(nearly(resource.schema))
    if isinstance(body, dict) and draw(st.booleans()):
        body |= {"apiVersion": resource.group_version, "kind": resource.kind, "metadata": {"name": "some"}}
    base = f"/apis/{resource.group_version}" if resource.group else "/api/v1"
    path = f"{base}/{'namespaces/default/' if resource.namespaced else ''}{resource.plural}"
    method = draw(st.sampled_from(["POST", "PUT", "PATCH"]))
    if method == "POST":
        return method, path, body, {}
    path += f"/some{draw(st.sampled_from(['', '/status', '/scale', '/finalize']))}"
    if method == "PUT":
        return method, path, body, {}
    kind = draw(st.sampled_from(_PATCHES))
    return method, f"{path}?fieldManager=x" if kind == APPLY_PATCH else path, body, {"Content-Type": kind}


@given(request_=requests())
@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
def test_whatever_is_sent_is_answered(fuzzed: Api, request_: tuple[str, str, Any, dict[str, str]]) -> None:
    """Objects of any shape are taken or refused; a server error is one that Kubernetes gives too."""
    method, path, body, headers = request_
    answer = fuzzed.send(method, path, body, headers)
    if answer.code >= 500:
        words = ("failed to create typed patch object", "resourceVersion should not be set")
        assert any(one in answer.body["message"] for one in words), (method, path, body, answer.data)


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """An API server alone."""
    running = SandboxThread(Settings(tmp_path_factory.mktemp("fuzzed"), controllers=False))
    cluster = running.cluster
    api = Api("127.0.0.1", cluster.settings.port, cluster.authority, cluster.admin_token)
    yield api
    api.close()
    running.close()


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        pytest.param(b'{"a": 1}', [], id="none"),
        pytest.param(b'{"a": 1, "a": 2}', ["a"], id="at the top"),
        pytest.param(b'{"a": {"b": 1, "b": 2, "b": 3}}', ["a.b", "a.b"], id="within"),
        pytest.param(b'{"a": [{}, {"b": {"c": 1, "c": 2}}]}', ["a[1].b.c"], id="in a list"),
    ],
)
def test_fields_that_are_there_twice(text: bytes, paths: list[str]) -> None:
    """Each is told with its path, and holds as it was last."""
    doubled: list[str] = []
    bodies.read(bodies.JSON, text, doubled)
    assert doubled == paths
