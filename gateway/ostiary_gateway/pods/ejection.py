"""Pods that fail one call after the other are left alone for a while. Pure; time is given."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass
from typing import TypeVar

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True)
class EjectionSettings:
    """When a pod is ejected (the terms and the first two values are Envoy's).

    Attributes:
        consecutive_errors: so many failed calls, one after the other.
        base_seconds: the first ejection's length; the n-th takes n times as long.
        longest_seconds: no ejection takes longer.
        most: share of a version's pods that may be ejected; one at least. Pods beyond it are asked all the
            same: where all fail, the fault is rarely with each of them.
    """

    consecutive_errors: int = 5
    base_seconds: float = 30.0
    longest_seconds: float = 300.0
    most: float = 0.5


@dataclass
class _State:
    errors: int = 0
    times: int = 0  # how often it was ejected, less one for each ejection's length that it has done well
    until: float = float("-inf")
    well_since: float = 0.0


class Ejections:
    """Which pods to leave alone."""

    def __init__(self, settings: EjectionSettings = EjectionSettings()) -> None:
        self._settings = settings
        self._states: dict[Hashable, _State] = {}

    def succeeded(self, pod: Hashable, now: float) -> None:
        """A call of a pod went well."""
        state = self._states.get(pod)
        if state is None:
            return
        state.errors = 0
        if state.times and now - state.well_since >= self._settings.base_seconds:
            state.times, state.well_since = state.times - 1, now

    def failed(self, pod: Hashable, now: float) -> bool:
        """A call of a pod failed. Returns whether that ejects it."""
        state = self._states.setdefault(pod, _State())
        state.errors += 1
        state.well_since = now
        if state.errors < self._settings.consecutive_errors or state.until > now:
            return False
        state.errors, state.times = 0, state.times + 1
        seconds = min(self._settings.base_seconds * state.times, self._settings.longest_seconds)
        state.until = state.well_since = now + seconds
        return True

    def available(self, pods: Sequence[K], now: float) -> list[K]:
        """Those that may be asked: all but the ejected, of which no more are left out than may be, the latest
        ejected ones.
        """
        ejected = [pod for pod in pods if self._until(pod) > now]
        if not ejected:
            return list(pods)
        allowed = max(1, int(len(pods) * self._settings.most)) if len(pods) > 1 else 0
        out = set(sorted(ejected, key=self._until, reverse=True)[:allowed])
        return [pod for pod in pods if pod not in out]

    def keep(self, pods: Collection[Hashable]) -> None:
        """Forget all pods but these."""
        for pod in self._states.keys() - set(pods):
            del self._states[pod]

    def _until(self, pod: Hashable) -> float:
        state = self._states.get(pod)
        return state.until if state else float("-inf")
