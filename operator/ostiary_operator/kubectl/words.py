"""Times, shares and steps as people read them. Pure."""

from __future__ import annotations

from datetime import UTC, datetime

from ostiary_operator.resources.model_deployment import Step


def moment(seconds: float) -> str:
    """A time since 1970: `2026-11-26 02:10:07Z`."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def span(seconds: float) -> str:
    """How long: `45s`, `3m20s`, `2h5m`, `4d`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m" + (f"{whole % 60}s" if whole % 60 else "")
    if whole < 48 * 3600:
        return f"{whole // 3600}h" + (f"{whole % 3600 // 60}m" if whole % 3600 // 60 else "")
    return f"{whole // 86400}d"


def share(points: int) -> str:
    """Basis points as per cent: `2.5%`."""
    return f"{points / 100:g}%"


def step(one: Step) -> str:
    """What a step of a canary does."""
    if one.set_weight is not None:
        return f"give it {share(one.set_weight)} of the traffic"
    if one.analysis is not None:
        return f"judge it by {one.analysis.template}"
    if one.pause_seconds is not None:
        return f"wait {span(one.pause_seconds)}"
    return "wait until somebody promotes"
