"""Routes: which version a check goes to, and what is refused when a route is read."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ostiary.v1.config_pb2 import TrafficRoute
from ostiary_gateway import routing
from ostiary_gateway.route_source import FileRouteSource

GOOD = """
name: default
epoch: 1
versions:
  - name: v1
    weight: 9000
    endpoints: [{address: "127.0.0.1:9000", serverName: pod.ostiary.local}]
  - name: v2
    weight: 1000
    endpoints: [{address: "[::1]:9001"}]
"""


def route(*weights: int) -> TrafficRoute:
    made = TrafficRoute(name="r")
    for index, weight in enumerate(weights):
        made.versions.add(name=f"v{index}", weight=weight)
    return made


def splits(parts: int) -> st.SearchStrategy[list[int]]:
    """Weights of `parts` versions that sum to 10,000."""
    cuts = st.lists(st.integers(0, 10_000), min_size=parts - 1, max_size=parts - 1).map(sorted)
    return cuts.map(lambda inner: [b - a for a, b in zip([0, *inner], [*inner, 10_000], strict=True)])


@settings(max_examples=25, deadline=None)  # each walks all 10,000 points
@given(weights=st.integers(1, 5).flatmap(splits))
def test_each_version_gets_exactly_its_share_of_points(weights: list[int]) -> None:
    """Over all 10,000 points the shares are the weights, so a version of weight 0 gets nothing."""
    made = route(*weights)
    got = Counter(routing.choose(made, "t", "", point).name for point in range(10_000))
    assert [got[version.name] for version in made.versions] == weights


@given(listing=st.text(), name=st.text(max_size=20))
def test_a_listing_stays_where_it_is(listing: str, name: str) -> None:
    """The point depends on route and listing alone."""
    point = routing.sticky_point(name, listing)
    assert 0 <= point < 10_000
    assert routing.sticky_point(name, listing) == point


@given(before=st.integers(0, 10_000), after=st.integers(0, 10_000), listing=st.text(max_size=30))
def test_a_listing_moves_only_towards_the_version_that_grows(before: int, after: int, listing: str) -> None:
    """As one version's weight grows, no listing leaves it."""
    point = routing.sticky_point("r", listing)
    old = routing.choose(route(before, 10_000 - before), "t", "", point).name
    new = routing.choose(route(after, 10_000 - after), "t", "", point).name
    if after >= before and old == "v0":
        assert new == "v0"
    if after <= before and old == "v1":
        assert new == "v1"


def test_listings_spread_evenly() -> None:
    """A tenth of the weight gets a tenth of 20,000 listings, within five standard deviations."""
    made = route(1_000, 9_000)
    points = [routing.sticky_point("r", f"listing-{number}") for number in range(20_000)]
    first = sum(routing.choose(made, "t", "", point).name == "v0" for point in points)
    assert abs(first - 2_000) < 5 * (20_000 * 0.1 * 0.9) ** 0.5


@pytest.mark.parametrize(
    ("tenant", "header", "version"),
    [("a", "", "v1"), ("b", "canary", "v2"), ("a", "canary", "v1"), ("b", "other", "v0"), ("b", "", "v0")],
)
def test_pins_come_first(tenant: str, header: str, version: str) -> None:
    """The first pin whose tenant and header hold decides, even for a version of weight 0."""
    made = route(10_000, 0, 0)
    made.pins.add(tenant="a", version="v1")
    made.pins.add(header="canary", version="v2")
    assert routing.choose(made, tenant, header, 5).name == version


@pytest.mark.parametrize(
    ("tenant", "header", "arm"),
    [("a", "", "candidate"), ("b", "", "control"), ("b", "beta", "candidate"), ("c", "", "")],
)
def test_a_pin_says_of_which_arm_a_caller_is(tenant: str, header: str, arm: str) -> None:
    """The first that holds; whoever has no pin is of none."""
    made = route(10_000, 0)
    made.pins.add(header="beta", version="v1", arm="candidate")
    made.pins.add(tenant="a", version="v1", arm="candidate")
    made.pins.add(tenant="b", version="v0", arm="control")
    found = routing.pinned(made, tenant, header)
    assert (found.arm if found else "") == arm


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("weight: 9000", "weight: 8000", "the weights sum to 9000, not to 10000"),
        ("weight: 9000", "weight: -1", r"versions\[0\].weight"),
        ("name: v2", "name: v1", "is named twice"),
        ("name: v2", "name: V_2", r"versions\[1\].name: a DNS label"),
        ("name: default", "name: ''", "^name: a DNS label"),
        ("name: default", "nam: default", 'no field named "nam"'),
        ("127.0.0.1:9000", "127.0.0.1", r"endpoints\[0\].address: host:port"),
        ("127.0.0.1:9000", "127.0.0.1:99000", r"endpoints\[0\].address: host:port"),
        ("serverName: pod.ostiary.local", "serverName: 'a b'", "serverName: 'a b' is no DNS name"),
        ('[{address: "[::1]:9001"}]', "[]", r"versions\[1\].endpoints: name at least one pod"),
        ('[{address: "[::1]:9001"}]', '[{address: "a:1"}, {address: "a:1"}]', "a:1 is named twice"),
        ("epoch: 1", "failureVerdict: VERDICT_ALLOW", "VERDICT_ALLOW is refused"),
        ("epoch: 1", "failureVerdict: ALLOW", "ALLOW"),
        ("epoch: 1", "failureVerdict: 9", "failureVerdict: say"),
        ("epoch: 1", "pins: [{version: v9}]", r"pins\[0\].version: there is no version 'v9'"),
        ("epoch: 1", "pins: [{version: v1, arm: other}]", r"pins\[0\].arm: candidate, control or nothing"),
        (
            "epoch: 1",
            "mirrors: [{version: v3, share: 100}]",
            r"mirrors\[0\].version: there is no version 'v3'",
        ),
        ("epoch: 1", "mirrors: [{version: v2, share: 10001}]", r"mirrors\[0\].share: 0 to 10000"),
    ],
)
def test_a_bad_route_is_refused_in_words(old: str, new: str, words: str) -> None:
    """Each mistake is named with its place."""
    routing.load(GOOD)
    with pytest.raises(ValueError, match=words):
        routing.load(GOOD.replace(old, new))


def test_a_route_follows_its_file_and_keeps_the_last_good(tmp_path: Path) -> None:
    """Weights that do not sum up never route anything."""
    now = [0.0]
    path = tmp_path / "route.yaml"
    path.write_text(GOOD, encoding="utf-8")
    source = FileRouteSource(path, lambda: now[0])
    path.write_text(GOOD.replace("9000\n", "1\n"), encoding="utf-8")
    now[0] = 1.0
    assert source.route().epoch == 1
    path.write_text(GOOD.replace("epoch: 1", "epoch: 2"), encoding="utf-8")
    now[0] = 2.0
    assert source.route().epoch == 2
