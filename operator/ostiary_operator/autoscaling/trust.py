"""Which samples can be believed."""

from __future__ import annotations

import math

AHEAD_SECONDS = 5.0
"""So far may another machine's clock be ahead."""


def trouble(value: float, at: float, now: float, oldest: float, most: float) -> str:
    """Why a sample is not to be believed; empty: it is. `oldest`: seconds of age; `most`: beyond is
    absurd.
    """
    if oldest >= now - at >= -AHEAD_SECONDS and 0.0 <= value <= most:
        return ""
    if not math.isfinite(value):
        return "not a number"
    if value < 0.0:
        return "negative"
    if value > most:
        return f"absurd: {value:g} where {most:g} is the most there can be"
    if not math.isfinite(at) or now - at < -AHEAD_SECONDS:
        return "dated in the future"
    return f"stale: {now - at:.0f} s old"
