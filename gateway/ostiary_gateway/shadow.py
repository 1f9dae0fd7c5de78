"""Copies of checks for versions that are watched before they serve: their answers are compared, and no more.

A copy goes out after the caller's own look has come back, so it neither delays nor fails an answer; what a
mirrored version says is judged under the policy that judged the answer, and never recorded or told.
"""

import asyncio
import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import structlog

from ostiary.v1.config_pb2 import RouteVersion, TrafficRoute
from ostiary.v1.decision_pb2 import Verdict
from ostiary.v1.observation_pb2 import Observations
from ostiary.wire.errors import OstiaryError
from ostiary_gateway.judgement import Judgement
from ostiary_gateway.pods import Ask, Pods
from ostiary_gateway.routing import BASIS_POINTS

_log = structlog.get_logger(__name__)


class Outcome(StrEnum):
    """What came of a copy: its verdict agrees with what was told, or does not, or there is none."""

    AGREES = "agrees"
    DIFFERS = "differs"
    FAILED = "failed"
    DROPPED = "dropped"
    """Too many copies were under way."""


@dataclass(frozen=True)
class Compared:
    """A copy for a mirrored version, and what came of it. `flips`: labels that it flags, and the answer does
    not, or the other way. `category`: the listing's.
    """

    version: str
    outcome: Outcome
    category: str = ""
    flips: frozenset[str] = frozenset()


class Shadow:
    """Sends copies in the background, a bounded number at once. For one event loop."""

    def __init__(
        self,
        pods: Pods,
        rng: random.Random,
        compared: Callable[[Compared], None] = lambda compared: None,
        *,
        most: int = 32,
        seconds: float = 60.0,
    ) -> None:
        """
        Args:
            pods: looks at copies.
            rng: draws which checks are copied.
            compared: is told what came of each copy.
            most: copies under way at once; each holds its request's bytes.
            seconds: that a copy may take.
        """
        self._pods = pods
        self._rng = rng
        self._compared = compared
        self._most = most
        self._seconds = seconds
        self._under_way: set[asyncio.Task[None]] = set()

    def copy(
        self,
        route: TrafficRoute,
        served_by: str,
        sent: Ask,
        told: Judgement,
        judge: Callable[[Observations], Judgement],
    ) -> None:
        """Send copies to the route's mirrors, as their shares want. Never waits, never raises.

        Args:
            route: a valid route.
            served_by: the version that looked for the caller; it gets no copy.
            sent: what its pod was sent.
            told: what the caller is told.
            judge: the judgement of other observations under the same policy.
        """
        versions = {version.name: version for version in route.versions}
        for mirror in route.mirrors:
            if mirror.version == served_by or self._rng.randrange(BASIS_POINTS) >= mirror.share:
                continue
            if len(self._under_way) >= self._most:
                self._compared(Compared(mirror.version, Outcome.DROPPED, told.category))
                continue
            self._start(self._look(route, versions[mirror.version], sent, told, judge))

    async def close(self) -> None:
        """Cancel what is under way."""
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _look(
        self,
        route: TrafficRoute,
        version: RouteVersion,
        sent: Ask,
        told: Judgement,
        judge: Callable[[Observations], Judgement],
    ) -> None:
        compared = Compared(version.name, Outcome.FAILED, told.category)
        try:
            found = await self._pods.infer(route, version, sent, self._seconds)
            would = await asyncio.to_thread(judge, found.observations)
            outcome = Outcome.AGREES if would.verdict == told.verdict else Outcome.DIFFERS
            compared = replace(compared, outcome=outcome, flips=told.flips(would))
        except OstiaryError as error:
            _log.info("copy failed", check_id=sent.check_id, version=version.name, error=error.message)
        except Exception:  # a copy must not end the loop's exception handler with what it met
            _log.exception("copy failed", check_id=sent.check_id, version=version.name)
        else:
            if outcome is Outcome.DIFFERS or compared.flips:
                said, other = (Verdict.Name(each.verdict).removeprefix("VERDICT_") for each in (told, would))
                _log.info(
                    "copy differs",
                    check_id=sent.check_id, version=version.name, told=said, would=other,
                    flips=sorted(compared.flips),
                )  # fmt: skip
        self._compared(compared)
