"""Which version of a route a check goes to. Pure."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable

from ostiary.v1.config_pb2 import Endpoint, RoutePin, RouteVersion, TrafficRoute
from ostiary.v1.decision_pb2 import Verdict
from ostiary_gateway.json_mapping import parse_message

ARMS = ("", "candidate", "control")
"""Populations of an A/B that a pin may put its callers into."""
BASIS_POINTS = 10_000
_DNS_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_DNS_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
_ADDRESS = re.compile(
    r"(dns:///)?(?P<host>\[[0-9a-fA-F:.]+\]|[A-Za-z0-9][A-Za-z0-9._-]*):(?P<port>[0-9]{1,5})"
)


def load(text: str) -> TrafficRoute:
    """The route written in `text` (proto3 JSON mapping, as YAML), valid.

    Raises:
        ValueError: in words: what is wrong where.
    """
    route = parse_message(text, TrafficRoute)
    validate(route)
    return route


def validate(route: TrafficRoute, *, pods_elsewhere: bool = False) -> None:
    """Check a route; with `pods_elsewhere`, versions need not name theirs.

    Raises:
        ValueError: in words: what is wrong where.
    """
    _require(_DNS_LABEL.fullmatch(route.name), "name: a DNS label is needed, such as `default`")
    _require(route.versions, "versions: name at least one")
    names = [version.name for version in route.versions]
    twice = [name for name, count in Counter(names).items() if count > 1]
    _require(not twice, f"versions: {twice} is named twice; keep one")
    for index, version in enumerate(route.versions):
        _validate_version(f"versions[{index}]", version, pods_elsewhere=pods_elsewhere)
    total = sum(version.weight for version in route.versions)
    _require(
        total == BASIS_POINTS, f"versions: the weights sum to {total}, not to {BASIS_POINTS} basis points"
    )
    for index, pin in enumerate(route.pins):
        _require(pin.version in names, f"pins[{index}].version: there is no version {pin.version!r}")
        _require(pin.arm in ARMS, f"pins[{index}].arm: candidate, control or nothing, not {pin.arm!r}")
    served = {version.name for version in route.versions if version.endpoints or pods_elsewhere}
    for index, mirror in enumerate(route.mirrors):
        here = f"mirrors[{index}]"
        _require(
            mirror.version in served, f"{here}.version: there is no version {mirror.version!r} with pods"
        )
        in_range = 0 <= mirror.share <= BASIS_POINTS
        _require(in_range, f"{here}.share: 0 to {BASIS_POINTS} basis points, not {mirror.share}")
    never = "failureVerdict: VERDICT_ALLOW is refused: a failure must not publish; say VERDICT_HOLD"
    _require(route.failure_verdict != Verdict.VERDICT_ALLOW, never)
    known = route.failure_verdict in Verdict.values()
    _require(known, "failureVerdict: say VERDICT_HOLD, VERDICT_REVIEW or VERDICT_BLOCK")


def pinned(route: TrafficRoute, tenant: str, header: str) -> RoutePin | None:
    """The first pin that holds for a caller, who is as in `choose`; None without one."""
    return next(
        (pin for pin in route.pins if pin.tenant in ("", tenant) and pin.header in ("", header)), None
    )


def choose(route: TrafficRoute, tenant: str, header: str, point: int) -> RouteVersion:
    """The version for a check: the first pin that holds, else the version whose share `point` falls into.

    Args:
        route: a valid route.
        tenant: tenant of the caller.
        header: value of the `ostiary-version-pin` metadata; may be empty.
        point: 0 to 9,999, from `sticky_point` or drawn at random.
    """
    pin = pinned(route, tenant, header)
    if pin is not None:
        return next(version for version in route.versions if version.name == pin.version)
    upper = 0
    for version in route.versions:
        upper += version.weight
        if point < upper:
            return version
    raise ValueError(f"{point} lies beyond the route's {upper} basis points")


def sticky_point(route: str, listing_id: str) -> int:
    """Where a listing stands among the basis points of a route: the same for ever, 0 to 9,999.

    As weights move from one version to its neighbour, only the listings between the old and the new border
    change version.
    """
    digest = hashlib.sha256(f"{route}\0{listing_id}".encode()).digest()
    return int.from_bytes(digest[:8]) % BASIS_POINTS


def _validate_version(path: str, version: RouteVersion, *, pods_elsewhere: bool) -> None:
    _require(_DNS_LABEL.fullmatch(version.name), f"{path}.name: a DNS label is needed, such as `v1`")
    in_range = 0 <= version.weight <= BASIS_POINTS
    _require(in_range, f"{path}.weight: 0 to {BASIS_POINTS} basis points, not {version.weight}")
    some = pods_elsewhere or version.endpoints or not version.weight
    _require(some, f"{path}.endpoints: name at least one pod, or set the weight to 0")
    _validate_endpoints(path, version.endpoints)


def _validate_endpoints(path: str, endpoints: Iterable[Endpoint]) -> None:
    seen: set[str] = set()
    for index, endpoint in enumerate(endpoints):
        here = f"{path}.endpoints[{index}]"
        match = _ADDRESS.fullmatch(endpoint.address)
        valid = match and 0 < int(match["port"]) < 65_536
        _require(valid, f"{here}.address: host:port or dns:///name:port is needed, not {endpoint.address!r}")
        name = endpoint.server_name
        _require(not name or _DNS_NAME.fullmatch(name), f"{here}.serverName: {name!r} is no DNS name")
        _require(endpoint.address not in seen, f"{here}.address: {endpoint.address} is named twice; keep one")
        seen.add(endpoint.address)


def _require(condition: object, message: str) -> None:
    if not condition:
        raise ValueError(message)
