"""Where the route comes from."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from ostiary.v1.config_pb2 import TrafficRoute
from ostiary_gateway import routing
from ostiary_gateway.watched import WatchedFile


class RouteSource(Protocol):
    """Gives the route that checks take."""

    def route(self) -> TrafficRoute:
        """The valid route in force now; never raises. It is shared: never change it."""
        ...


class FileRouteSource:
    """A route in a file; a change takes effect within a second, a bad one leaves the last good in force."""

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        """Read the route; `clock` gives monotonic seconds.

        Raises:
            ValueError: the file is missing or bad; the message says where.
        """
        self._file = WatchedFile(path, routing.load, clock=clock)

    def route(self) -> TrafficRoute:
        """The route in force now."""
        return self._file.current()
