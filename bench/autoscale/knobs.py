"""What is swept of a policy."""

from __future__ import annotations

from typing import NamedTuple

LEAST = (3, 4, 5, 6, 8, 10, 12, 14, 17, 20)
"""Fewest pods that are swept beside each policy's tight knob: every autoscaler has a minReplicas."""


class Knobs(NamedTuple):
    """One setting: the policy's own main knob, and the fewest pods."""

    main: float = 0.0
    least: int = 1

    def __str__(self) -> str:
        return f"{self.main:g}" if self.least == 1 else f"{self.main:g}, least {self.least}"
