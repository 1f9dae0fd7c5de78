"""How many calls may be second attempts: they help where one pod is down, and bury all where many are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class RetryBudget:
    """Second attempts may be a share of all calls in progress (20%, as in Envoy), and ten in any case: about
    what a pod that dies leaves behind where there are few calls."""

    def __init__(self, share: float = 0.2, least: int = 10) -> None:
        self._share = share
        self._least = least
        self._live = 0
        self._retries = 0

    @contextmanager
    def call(self) -> Iterator[None]:
        """Counts a call, its attempts together, while it is in progress."""
        self._live += 1
        try:
            yield
        finally:
            self._live -= 1

    @contextmanager
    def retry(self) -> Iterator[bool]:
        """Whether one more attempt may be made now; it counts while the context is open."""
        granted = self._retries < max(self._least, self._share * self._live)
        self._retries += granted
        try:
            yield granted
        finally:
            self._retries -= granted
