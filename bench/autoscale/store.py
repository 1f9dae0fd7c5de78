"""What was simulated, kept run by run: a benchmark that is stopped goes on where it was."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from bench.autoscale.simulator import Outcome

FIELDS = ("attainment", "pod_seconds", "p99", "shed", "flips")


class Store:
    """A folder of outcomes, by what they are outcomes of."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, key: str, run: Callable[[], Outcome]) -> Outcome:
        """The kept outcome, or that of a run, which is kept."""
        path = self._folder / f"{hashlib.sha256(key.encode()).hexdigest()[:24]}.npz"
        if path.exists():
            with np.load(path) as kept:
                return Outcome(**{name: kept[name] for name in FIELDS})
        outcome = run()
        self._folder.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial.npz")
        np.savez(partial, **{name: getattr(outcome, name) for name in FIELDS})
        partial.replace(path)
        return outcome
