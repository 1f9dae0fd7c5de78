"""Follows all objects of a kind: list, then watch, for as long as the process lives."""

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import structlog

from ostiary_gateway.kubernetes.api_server import ApiFailure, ApiServer, Gone, Json, Resource

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class WatchTimes:
    """In seconds."""

    watch: float = 50.0
    """How long one watch lasts, up to a fifth more; no silence is longer."""
    first_rest: float = 0.2
    """After a failure; doubles with each that follows, up to `last_rest`."""
    last_rest: float = 20.0


class Watching:
    """The objects of a kind in a namespace, by name, as the API server last told. For one event loop.

    Where it does not answer, they stay as they were; after a pause it is asked again, and again.
    """

    def __init__(
        self,
        server: ApiServer,
        resource: Resource,
        changed: Callable[[Mapping[str, Json]], None],
        rng: random.Random,
        *,
        select: Mapping[str, str] | None = None,
        times: WatchTimes = WatchTimes(),
        failed: Callable[[str], None] = lambda _: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """
        Args:
            server: where to ask.
            resource: the kind.
            changed: is given all objects after each change, and after each list.
            rng: spreads pauses, so that gateways do not come all at once.
            select: `labelSelector` or `fieldSelector`.
            times: how long things take.
            failed: is told of each failure, by the kind's plural.
            clock: seconds since 1970.
        """
        self._server = server
        self._resource = resource
        self._changed = changed
        self._rng = rng
        self._select = dict(select or {})
        self._times = times
        self._failed = failed
        self._clock = clock
        self._objects: dict[str, Json] = {}
        self._seen = ""
        self._failures = 0
        self.listed = False
        """Whether the API server has ever told all objects."""
        self.silent = True
        """Whether it does not answer, or not for now; False where it refuses."""
        self.heard_at: float | None = None
        """When it last told what is in force, in seconds since 1970; None: never."""
        self.problem = f"{resource.plural}: the API server has not answered yet"
        """Why the objects may be old, in words; empty while they are not."""

    async def run(self) -> None:
        """Follow the objects until cancelled."""
        while True:
            try:
                if not self._seen:
                    await self._list()
                await self._follow()
            except Gone as gone:
                self._seen = ""
                await self._rest(gone)
            except ApiFailure as failure:
                # If there was a list, the watch goes on from the last event that came.
                await self._rest(failure)
            except Exception as error:  # an object that nobody foresaw must not end the watch unnoticed
                _log.exception("what was watched could not be taken", of=self._resource.plural)
                self._seen = ""
                await self._rest(ApiFailure(0, f"{type(error).__name__}: {error}"))

    async def _list(self) -> None:
        self._objects, self._seen = await self._server.list(self._resource, **self._select)
        self.listed = True
        self._heard()
        self._changed(self._objects)

    @property
    def resource(self) -> Resource:
        """The kind."""
        return self._resource

    @property
    def stale(self) -> float | None:
        """For how many seconds what is in force may be old; None where nothing is."""
        if self.heard_at is None:
            return None
        return max(0.0, self._clock() - self.heard_at) if self.problem else 0.0

    def restore(self, objects: Mapping[str, Json], at: float) -> None:
        """Until the API server tells otherwise these are the objects, as it told them at that time."""
        self.heard_at = at
        self._changed(objects)

    def _heard(self) -> None:
        self.problem, self.silent, self.heard_at = "", False, self._clock()

    async def _follow(self) -> None:
        """One watch, to its end in order."""
        seconds = self._times.watch * self._rng.uniform(1.0, 1.2)
        async for kind, found in self._server.watch(self._resource, self._seen, seconds, **self._select):
            self._failures = 0
            self._heard()
            self._seen = str(found["metadata"]["resourceVersion"])
            if kind == "BOOKMARK":
                continue
            if kind == "DELETED":
                self._objects.pop(found["metadata"]["name"], None)
            else:
                self._objects[found["metadata"]["name"]] = found
            self._changed(self._objects)
        self._failures = 0
        self._heard()
        # A server that ends watches at once is not asked without pause.
        await asyncio.sleep(self._rng.uniform(0.5, 1.0) * self._times.first_rest)

    async def _rest(self, failure: ApiFailure) -> None:
        times, plural = self._times, self._resource.plural
        self.problem = _explained(failure, plural)
        self.silent = failure.code in (0, 429) or failure.code >= 500
        self._failed(plural)
        pause = min(times.last_rest, times.first_rest * 2 ** min(self._failures, 20))
        pause = max(failure.retry_after, pause * self._rng.uniform(0.5, 1.0))
        self._failures += 1
        _log.warning("watch failed", of=plural, error=self.problem, again_in=round(pause, 1))
        await asyncio.sleep(pause)


def _explained(failure: ApiFailure, plural: str) -> str:
    if failure.code == 404:
        return f"the API server does not know {plural}: apply the definitions of manifests/crds"
    if failure.code in (401, 403):
        return f"{failure}: give the gateway's service account list and watch on {plural}"
    return str(failure)
