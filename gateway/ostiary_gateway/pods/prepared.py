"""Which pods have been given what checks need there."""

from collections.abc import Callable, Iterable, Sequence

from ostiary.v1.config_pb2 import Endpoint
from ostiary_gateway.pods.key import Key, key_of


class PreparedPods:
    """Pods that somebody has looked after since they came: a check that another took would be held.

    While nobody looks after pods, all count as prepared. For one event loop.
    """

    def __init__(self) -> None:
        self._keys: set[Key] | None = None
        self._told: list[Callable[[], None]] = []

    def tell(self, changed: Callable[[], None]) -> None:
        """Call `changed` whenever more pods count as prepared."""
        self._told.append(changed)

    def keep(self, endpoints: Iterable[Endpoint]) -> None:
        """Pods are looked after from now on, and these are there; one that comes back has lost all."""
        self._keys = (self._keys or set()) & {key_of(endpoint) for endpoint in endpoints}

    def add(self, endpoint: Endpoint) -> None:
        """A pod was looked after: it has what it needs, or it is known why not."""
        if self._keys is not None and (key := key_of(endpoint)) not in self._keys:
            self._keys.add(key)
            self._tell()

    def end(self) -> None:
        """Nobody looks after pods any more."""
        self._keys = None
        self._tell()

    def among(self, endpoints: Sequence[Endpoint]) -> Sequence[Endpoint]:
        """Those of some pods that are prepared."""
        if self._keys is None:
            return endpoints
        return [endpoint for endpoint in endpoints if key_of(endpoint) in self._keys]

    def _tell(self) -> None:
        for changed in self._told:
            changed()
