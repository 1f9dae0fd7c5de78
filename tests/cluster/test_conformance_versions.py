"""Several versions of one resource: Events in two groups, and definitions whose versions differ."""

from typing import Any

from cluster.api_client import Api
from cluster.shapes import WIDGETS

Json = dict[str, Any]
_DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_NEW = "/apis/events.k8s.io/v1/namespaces/{}/events"


def regarding(namespace: str) -> Json:
    return {"kind": "Pod", "namespace": namespace, "name": "web-1"}


def test_an_event_is_one_in_both_groups(api: Api, namespace: str) -> None:
    """What was made in the core group is in events.k8s.io under its newer names, and deleted in both."""
    old = f"/api/v1/namespaces/{namespace}/events"
    body = {
        "metadata": {"name": "web-1.1"}, "involvedObject": regarding(namespace), "reason": "Tried",
        "message": "once", "type": "Normal", "count": 3, "firstTimestamp": "2026-01-02T03:04:05Z",
        "source": {"component": "tester"},
    }  # fmt: skip
    made = api.made(old, body)
    new = _NEW.format(namespace)
    found = api.get(f"{new}/web-1.1").body
    assert (found["apiVersion"], found["kind"]) == ("events.k8s.io/v1", "Event")
    assert found["metadata"]["uid"] == made["metadata"]["uid"]
    assert (found["note"], found["reason"], found["deprecatedCount"]) == ("once", "Tried", 3)
    assert found["regarding"] == body["involvedObject"]
    assert found["deprecatedSource"] == {"component": "tester"}
    assert found["deprecatedFirstTimestamp"] == "2026-01-02T03:04:05Z"
    assert not found.keys() & {"message", "involvedObject", "count", "source"}
    (event,) = api.get(new).body["items"]
    assert event["note"] == "once"
    assert api.delete(f"{new}/web-1.1").code == 200
    assert api.get(f"{old}/web-1.1").code == 404


def test_new_events_say_more(api: Api, namespace: str) -> None:
    """An Event made in events.k8s.io has a time, a reporter and an action, and no old fields."""
    new = _NEW.format(namespace)
    event = {
        "metadata": {"name": "web-1.2"}, "eventTime": "2026-01-02T03:04:05.000006Z", "type": "Normal",
        "reportingController": "ostiary.dev/tester", "reportingInstance": "tester-1", "action": "Trying",
        "reason": "Tried", "regarding": regarding(namespace), "note": "once",
    }  # fmt: skip
    api.made(new, event)
    core = api.get(f"/api/v1/namespaces/{namespace}/events/web-1.2").body
    assert (core["message"], core["reportingComponent"]) == ("once", "ostiary.dev/tester")
    assert core["eventTime"] == event["eventTime"]
    for change, field in (
        ({"eventTime": None}, "eventTime"),
        ({"action": ""}, "action"),
        ({"reportingInstance": ""}, "reportingInstance"),
        ({"type": "Odd"}, "type"),
        ({"deprecatedCount": 2}, "count"),
        ({"series": {"count": 1, "lastObservedTime": event["eventTime"]}}, "series.count"),
    ):
        answer = api.post(new, event | {"metadata": {"name": "web-1.3"}} | change)
        assert (answer.code, answer.reason) == (422, "Invalid"), answer.data
        assert field in {cause["field"] for cause in answer.causes}, answer.data
    answer = api.patch(f"{new}/web-1.2", {"note": "twice"})
    assert (answer.code, answer.reason) == (422, "Invalid")


def test_what_the_stored_version_does_not_keep_is_lost(api: Api) -> None:
    """Versions without conversion differ in name: each shows what its own schema and the stored one keep."""

    def version(name: str, *, storage: bool, **properties: Json) -> Json:
        spec = {"type": "object", "properties": {"a": {"type": "string"}} | properties}
        schema = {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}}
        return {"name": name, "served": True, "storage": storage, "schema": schema}

    versions = [
        version("v1", storage=True, kept={"type": "string"}),
        version("v1beta1", storage=False, extra={"type": "string"}),
    ]
    names = {"plural": "dials", "singular": "dial", "kind": "Dial", "listKind": "DialList"}
    group = "conformance.ostiary.dev"
    spec = {"group": group, "scope": "Cluster", "names": names, "versions": versions}
    api.made(_DEFINITIONS, WIDGETS | {"metadata": {"name": f"dials.{group}"}, "spec": spec})
    stable, beta = (f"/apis/{group}/{name}/dials" for name in ("v1", "v1beta1"))
    for path in (stable, beta):
        api.until(path, lambda answer: answer.code == 200)

    def dial(name: str, version: str, **values: str) -> Json:
        kind = {"apiVersion": f"{group}/{version}", "kind": "Dial"}
        return kind | {"metadata": {"name": name}, "spec": values}

    made = api.made(beta, dial("one", "v1beta1", a="1", extra="2"))
    assert made["apiVersion"] == f"{group}/v1beta1"
    assert api.get(f"{beta}/one").body["spec"] == {"a": "1"}
    assert api.get(f"{stable}/one").body["spec"] == {"a": "1"}
    api.made(stable, dial("two", "v1", a="1", kept="2"))
    assert api.get(f"{beta}/two").body["spec"] == {"a": "1"}
    (beta_one, beta_two) = api.get(beta).body["items"]
    assert {one["apiVersion"] for one in (beta_one, beta_two)} == {f"{group}/v1beta1"}
    assert api.get(f"{stable}/two").body["spec"] == {"a": "1", "kept": "2"}
    assert api.patch(f"{beta}/two", {"metadata": {"labels": {"a": "b"}}}).code == 200
    assert api.get(f"{stable}/two").body["spec"] == {"a": "1"}
    api.delete(f"{_DEFINITIONS}/dials.{group}")
    api.until(stable, lambda answer: answer.code == 404)
