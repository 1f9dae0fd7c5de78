"""Lists: selected, in pages, of one version; and watches from there on."""

from itertools import islice
from typing import Any

import pytest

from cluster.api_client import Api
from cluster.shapes import config_map, widget

Json = dict[str, Any]


def names(answer: Any) -> list[str]:
    return [one["metadata"]["name"] for one in answer.body["items"]]


def test_pages_of_a_list_are_of_one_version(api: Api, widgets: str) -> None:
    """A list in pages shows what was there when it began, in order, and says how much is left."""
    for name in "abcde":
        api.made(widgets, widget(name))
    first = api.get(widgets, limit="2")
    assert names(first) == ["a", "b"]
    assert first.body["metadata"]["remainingItemCount"] == 3
    api.made(widgets, widget("bb"))
    api.delete(f"{widgets}/d")
    token = first.body["metadata"]["continue"]
    second = api.get(widgets, limit="2", **{"continue": token})
    assert names(second) == ["c", "d"]
    assert second.body["metadata"]["resourceVersion"] == first.body["metadata"]["resourceVersion"]
    last = api.get(widgets, limit="2", **{"continue": second.body["metadata"]["continue"]})
    assert names(last) == ["e"]
    assert not last.body["metadata"].get("continue")


def test_a_list_that_does_not_go_on(api: Api, namespace: str, widgets: str) -> None:
    """Of custom resources it says so in an empty word; of the server's own kinds it says nothing."""
    maps = f"/api/v1/namespaces/{namespace}/configmaps"
    assert api.get(widgets).body["metadata"]["continue"] == ""
    assert "continue" not in api.get(maps).body["metadata"]


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        pytest.param("colour=red", ["a", "c"], id="equal"),
        pytest.param("colour==red,size=big", ["a"], id="two"),
        pytest.param("colour!=red", ["b", "d"], id="not equal, which the absent are too"),
        pytest.param("colour in (red,blue)", ["a", "b", "c"], id="in"),
        pytest.param("colour notin (red)", ["b", "d"], id="not in"),
        pytest.param("size", ["a"], id="exists"),
        pytest.param("!colour", ["d"], id="does not exist"),
    ],
)
def test_label_selectors(api: Api, widgets: str, selector: str, expected: list[str]) -> None:
    """Every form of selector selects what it says."""
    labels = {"a": {"colour": "red", "size": "big"}, "b": {"colour": "blue"}, "c": {"colour": "red"}, "d": {}}
    for name, these in labels.items():
        obj = widget(name)
        obj["metadata"]["labels"] = these
        api.made(widgets, obj)
    assert names(api.get(widgets, labelSelector=selector)) == expected


def test_field_selectors(api: Api, maps: str) -> None:
    """Names can be selected by; fields that are not supported are told."""
    for name in "ab":
        api.made(maps, config_map(name))
    assert names(api.get(maps, fieldSelector="metadata.name=b")) == ["b"]
    assert "b" not in names(api.get(maps, fieldSelector="metadata.name!=b"))
    answer = api.get(maps, fieldSelector="data.a=1")
    assert (answer.code, answer.reason) == (400, "BadRequest")


@pytest.mark.parametrize(
    ("query", "code"),
    [
        pytest.param({"labelSelector": "a in b"}, 400, id="selector"),
        pytest.param({"continue": "no token"}, 400, id="continue"),
        pytest.param({"resourceVersionMatch": "Exact"}, 422, id="match without a version"),
        pytest.param({"resourceVersion": "0", "resourceVersionMatch": "Exact"}, 422, id="exactly any"),
        pytest.param({"resourceVersion": "1", "resourceVersionMatch": "About"}, 422, id="unknown match"),
    ],
)
def test_lists_that_cannot_be(api: Api, widgets: str, query: dict[str, str], code: int) -> None:
    """Bad options of a list are refused."""
    assert api.get(widgets, None, **query).code == code


def test_a_list_of_an_earlier_version(api: Api, widgets: str) -> None:
    """An exact version shows what was there then."""
    first, second = (api.made(widgets, widget(name))["metadata"]["resourceVersion"] for name in "ab")
    then = api.get(widgets, resourceVersion=first, resourceVersionMatch="Exact")
    assert names(then) == ["a"]
    now = api.get(widgets, resourceVersion=second, resourceVersionMatch="NotOlderThan")
    assert names(now) == ["a", "b"]
    at_least = api.get(widgets, resourceVersion=second)
    assert int(at_least.body["metadata"]["resourceVersion"]) >= int(second)
    assert names(at_least) == ["a", "b"]


def test_a_watch_goes_on_from_a_list(api: Api, widgets: str) -> None:
    """Nothing is missed or repeated between a list and a watch from its version."""
    api.made(widgets, widget("a"))
    version = api.get(widgets).body["metadata"]["resourceVersion"]
    api.made(widgets, widget("b"))
    api.patch(f"{widgets}/a", {"spec": {"size": 4}})
    api.delete(f"{widgets}/b")
    events = list(islice(api.watch(widgets, resourceVersion=version), 3))
    found = [(one["type"], one["object"]["metadata"]["name"]) for one in events]
    assert found == [("ADDED", "b"), ("MODIFIED", "a"), ("DELETED", "b")]
    versions = [int(one["object"]["metadata"]["resourceVersion"]) for one in events]
    assert versions == sorted(versions)
    assert versions[0] > int(version)


def test_a_watch_from_nowhere_begins_with_what_is(api: Api, widgets: str) -> None:
    """Without a version, or from 0, a watch first tells all that is there."""
    for name in "ab":
        api.made(widgets, widget(name))
    for query in ({}, {"resourceVersion": "0"}):
        events = list(islice(api.watch(widgets, **query), 2))
        assert {(one["type"], one["object"]["metadata"]["name"]) for one in events} == {
            ("ADDED", "a"),
            ("ADDED", "b"),
        }


def test_a_watch_sees_objects_come_into_its_selection_and_leave(api: Api, widgets: str) -> None:
    """What begins to match is ADDED, what no longer does DELETED."""
    api.made(widgets, widget("a"))
    version = api.get(widgets).body["metadata"]["resourceVersion"]
    for labels in ({"on": "1"}, {"on": "1", "more": "2"}, {"on": None}):
        api.patch(f"{widgets}/a", {"metadata": {"labels": labels}})
    events = islice(api.watch(widgets, labelSelector="on=1", resourceVersion=version), 3)
    assert [one["type"] for one in events] == ["ADDED", "MODIFIED", "DELETED"]


def test_a_watch_ends_when_its_time_is_over(api: Api, widgets: str) -> None:
    """timeoutSeconds ends a watch cleanly."""
    version = api.get(widgets).body["metadata"]["resourceVersion"]
    assert list(api.watch(widgets, 1, resourceVersion=version)) == []


def test_a_watch_from_too_long_ago(api: Api, widgets: str) -> None:
    """A version that is not kept any more is Expired, as a status or as an event."""
    (event,) = islice(api.watch(widgets, resourceVersion="1"), 1)
    assert event["type"] == "ERROR"
    assert (event["object"]["code"], event["object"]["reason"]) == (410, "Expired")


def test_initial_events_end_with_a_bookmark(api: Api, widgets: str) -> None:
    """A streamed list tells all that is there and marks where it ends."""
    api.made(widgets, widget("a"))
    query = {
        "sendInitialEvents": "true",
        "resourceVersionMatch": "NotOlderThan",
        "allowWatchBookmarks": "true",
    }
    events = list(islice(api.watch(widgets, **query), 2))
    if events[0]["type"] == "ERROR" and "WatchList" in events[0]["object"]["message"]:
        pytest.skip("this server's feature WatchList is off")
    assert [one["type"] for one in events] == ["ADDED", "BOOKMARK"]
    mark = events[1]["object"]["metadata"]
    assert mark["annotations"] == {"k8s.io/initial-events-end": "true"}
    assert int(mark["resourceVersion"]) >= int(events[0]["object"]["metadata"]["resourceVersion"])


def test_initial_events_need_a_match(api: Api, widgets: str) -> None:
    """Asked for without saying how old they may be they are refused."""
    (event,) = islice(api.watch(widgets, sendInitialEvents="true"), 1)
    assert (event["type"], event["object"]["code"]) == ("ERROR", 422)


def test_all_namespaces_at_once(api: Api, widgets: str, namespace: str) -> None:
    """A list without a namespace is of all of them."""
    api.made(widgets, widget("here"))
    everywhere = api.get("/apis/conformance.ostiary.dev/v1/widgets").body
    assert everywhere["kind"] == "WidgetList"
    assert (namespace, "here") in {
        (one["metadata"]["namespace"], one["metadata"]["name"]) for one in everywhere["items"]
    }
