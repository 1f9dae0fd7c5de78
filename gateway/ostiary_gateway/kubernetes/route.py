"""The route of a TrafficRoute, with the pods of EndpointSlices."""

from collections.abc import Callable, Mapping

import structlog

from ostiary.v1.config_pb2 import Endpoint, RouteVersion, TrafficRoute
from ostiary_gateway import routing
from ostiary_gateway.kubernetes.acceptance import Acceptance
from ostiary_gateway.kubernetes.api_server import ROUTES, SLICES, Json
from ostiary_gateway.kubernetes.last_known import Keep, keep_nothing
from ostiary_gateway.kubernetes.pods import pods
from ostiary_gateway.kubernetes.written import message_of
from ostiary_gateway.pods import PreparedPods

_log = structlog.get_logger(__name__)


class KubernetesRouteSource:
    """A route that is an object, taken up when it changes; a bad one leaves the last good in force, and so
    does its removal. See RouteSource.

    Routes and pods are told by watches apart, and either may be ahead. A route that sends checks to a version
    that had none waits until the version has a pod that is prepared: until then its checks would fail, or be
    held.
    """

    def __init__(
        self,
        name: str,
        server_name: str,
        acceptance: Acceptance,
        applied: Callable[[str, int], None],
        keep: Keep = keep_nothing,
        prepared: PreparedPods | None = None,
    ) -> None:
        """
        Args:
            name: the TrafficRoute's, and the model's.
            server_name: as in `pods`.
            acceptance: is told what became of the object.
            applied: is told, by name and epoch, that every check from now on takes the route.
            keep: is given the object and the slices that are in force.
            prepared: pods that have what checks need there.
        """
        self.name = name
        self._server_name = server_name
        self._acceptance = acceptance
        self._applied = applied
        self._keep = keep
        self._prepared = prepared or PreparedPods()
        self._prepared.tell(self._look_again)
        self._slices: Mapping[str, Json] | None = None
        self._pods: Mapping[str, tuple[Endpoint, ...]] = {}
        self._written: TrafficRoute | None = None
        """The last good one. What is in force is the one before while this waits for pods."""
        self._current: TrafficRoute | None = None
        """The one in force, as it was written."""
        self._uid = ""
        self._route = TrafficRoute()
        self.problem = f"there is no TrafficRoute {name}"
        """Why there is no route, in words; empty where there is one, old or new."""

    def route(self) -> TrafficRoute:
        """The route in force now."""
        return self._route

    def take_routes(self, objects: Mapping[str, Json]) -> None:
        """The TrafficRoutes of the namespace have changed."""
        written = objects.get(self.name)
        if written is None:
            return
        try:
            message = message_of(written, TrafficRoute)
            routing.validate(message, pods_elsewhere=True)
            self._check_epoch(message, written["metadata"]["uid"])
        except ValueError as error:
            self._acceptance.say(ROUTES, written, str(error))
            if self._written is None:
                self.problem = f"TrafficRoute {self.name}: {error}"
            return
        self._uid = written["metadata"]["uid"]
        if message != self._written:
            self._written = message
            self._join()
            self._keep(ROUTES, {self.name: written})
        self._acceptance.say(ROUTES, written, "")

    def take_slices(self, objects: Mapping[str, Json]) -> None:
        """The EndpointSlices of the model have changed."""
        self._slices = objects
        found = pods(objects.values(), self.name, self._server_name)
        if found != self._pods or self.problem:
            self._pods = found
            self._join()
            self._keep(SLICES, objects)

    def _check_epoch(self, message: TrafficRoute, uid: str) -> None:
        """The epoch says what a gateway has applied: it may not go back while the object is the same."""
        if self._written is not None and uid == self._uid and message.epoch < self._written.epoch:
            raise ValueError(
                f"epoch: {message.epoch} is older than {self._written.epoch}, which is in force; give the "
                "route a greater one"
            )

    def _join(self) -> None:
        """Puts the route as it is written, with the pods that there are, in force."""
        if self._written is None or self._slices is None:
            return
        current = self._written
        if self._current is not None and (missing := self._missing()):
            _log.info("route waits for pods", epoch=current.epoch, versions=missing)
            current = self._current
        self._current = current
        route = TrafficRoute()
        route.CopyFrom(current)
        # What the route waits for is in it without checks, so that its pods can be prepared.
        there = {one.name for one in current.versions}
        waited_for = [one for one in self._written.versions if one.name not in there]
        route.versions.extend(RouteVersion(name=one.name, endpoints=one.endpoints) for one in waited_for)
        for version in route.versions:
            if not version.endpoints:
                version.endpoints.extend(self._pods.get(version.name, ()))
        self._route = route
        self.problem = ""
        self._applied(self.name, route.epoch)

    def _missing(self) -> list[str]:
        """Versions that get checks as it is written, get none as it is in force, and have no prepared pod."""
        if self._written is None or self._current is None:
            return []
        there = {one.name for one in self._written.versions if one.endpoints}
        there |= {name for name, found in self._pods.items() if self._prepared.among(found)}
        return sorted(_served(self._written) - _served(self._current) - there)

    def _look_again(self) -> None:
        """Pods were prepared: what waits for them goes on."""
        if self._current is not self._written and not self._missing():
            self._join()


def _served(route: TrafficRoute) -> set[str]:
    """Versions that get checks."""
    return {one.name for one in route.versions if one.weight} | {pin.version for pin in route.pins}
