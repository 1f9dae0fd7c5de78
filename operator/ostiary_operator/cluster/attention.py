"""Which objects are to be looked at, and when: each by one task of its own, so never twice at a time."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field

import structlog

from ostiary_operator.cluster.api import ApiFailure, Conflict
from ostiary_operator.cluster.leader import NotLeading
from ostiary_operator.cluster.metrics import Result
from ostiary_operator.cluster.mirror import Key

_log = structlog.get_logger(__name__)
_GATHER = 0.02
"""Changes come in crowds: for so long after one, more are waited for."""
_AT_ONCE = 8
_FIRST_REST, _LAST_REST = 0.1, 30.0


@dataclass
class _Follower:
    news: asyncio.Event = field(default_factory=asyncio.Event)
    failures: int = 0
    task: asyncio.Task[None] | None = None


class Attention:
    """Looks at each object when it was stirred, and when its last look said. For one event loop."""

    def __init__(
        self,
        look: Callable[[Key], Awaitable[float]],
        leading: Callable[[], bool],
        rng: random.Random,
        looked: Callable[[Result, float], None],
    ):
        """`look`: in how many seconds to look again. `leading`: whether to look at all. `looked`: told how
        each look ended, and how many seconds it took.
        """
        self._look = look
        self._leading = leading
        self._rng = rng
        self._told = looked
        self._followers: dict[Key, _Follower] = {}
        self._at_once = asyncio.Semaphore(_AT_ONCE)

    def stir(self, key: Key) -> None:
        """Something that concerns the object has changed."""
        follower = self._followers.get(key)
        if follower is None:
            follower = self._followers[key] = _Follower()
            follower.task = asyncio.create_task(self._follow(key, follower), name="/".join(key))
        follower.news.set()

    def stir_all(self) -> None:
        """Everything may have changed."""
        for key in list(self._followers):
            self.stir(key)

    def forget(self, key: Key) -> None:
        """The object is gone."""
        follower = self._followers.pop(key, None)
        if follower is not None and follower.task is not None:
            follower.task.cancel()

    async def close(self) -> None:
        """Look at nothing any more. What was begun is left as it is: the next look sees it."""
        tasks = [one.task for one in self._followers.values() if one.task is not None]
        self._followers.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _follow(self, key: Key, follower: _Follower) -> None:
        pause: float | None = None
        while True:
            # Not wait_for, which until Python 3.12 forgets a cancellation that comes as it is woken.
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await follower.news.wait()
            await asyncio.sleep(_GATHER)
            follower.news.clear()
            pause = await self._looked(key, follower) if self._leading() else None

    async def _looked(self, key: Key, follower: _Follower) -> float | None:
        async with self._at_once:
            began = time.perf_counter()
            result, pause = await self._ended(key, follower)
            self._told(result, time.perf_counter() - began)
            return pause

    async def _ended(self, key: Key, follower: _Follower) -> tuple[Result, float | None]:
        try:
            pause = await self._look(key)
        except NotLeading:
            return "not_leading", None
        except ApiFailure as failure:
            result: Result = "conflict" if isinstance(failure, Conflict) else "api_failure"
            return result, self._rest(key, follower, failure, failure.retry_after)
        except Exception as error:
            # One object that nobody thought of must not end the looks at all others.
            _log.exception("look.failed", of="/".join(key))
            return "failed", self._rest(key, follower, error, 1.0)
        follower.failures = 0
        return "done", pause * self._rng.uniform(0.9, 1.0)

    def _rest(self, key: Key, follower: _Follower, error: Exception, least: float) -> float:
        if not (isinstance(error, Conflict) and follower.failures == 0):
            _log.warning("look.again", of="/".join(key), error=str(error), failures=follower.failures)
        rest = min(_LAST_REST, _FIRST_REST * 2.0 ** min(follower.failures, 20))
        follower.failures += 1
        return max(least, rest * self._rng.uniform(0.5, 1.0))
