"""From what the arms reached to rows and bars. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench.engine.statistics import percentile, ratio_of_repeats, spread
from bench.gateway.plan import Cell, Plan
from bench.report import Bar

Units = Mapping[str, Sequence[Mapping[str, Any]]]
"""By arm, a document for each repeat: `cells`, or `unavailable` with the reason."""

_OURS, _PROXY, _DIRECT = "ours", "proxy", "direct"
_PYTHON_PEERS = ("ray", "litserve")
_MIDDLE = "200 KB"


def rows(units: Units, plan: Plan) -> list[dict[str, Any]]:
    """One for each arm and cell; one with the reason for an arm that could not run."""
    found = []
    for arm, repeats in units.items():
        for cell in (*plan.closed, plan.half):
            results = _results(repeats, cell)
            if results:
                found.append(_row(arm, cell, results))
        reasons = {unit["unavailable"] for unit in repeats if "unavailable" in unit}
        found += [{"arm": arm, "not measured": reason} for reason in sorted(reasons)]
    return found


def bars(units: Units, plan: Plan) -> list[Bar]:
    """What the gateway has to reach."""
    middle = next((cell for cell in plan.closed if cell.size == _MIDDLE), plan.closed[-1])
    largest = plan.closed[-1]
    peaks = [row["peak_mb"] for row in _results(units.get(_OURS, ()), largest)]
    return [
        Bar(f"{middle.name}: × the bare proxy", _ratio(units, _PROXY, middle), 0.8, "at least"),
        Bar(f"{middle.name}: × the better Python peer", _least_ratio(units, middle), 2.0, "at least"),
        Bar(f"{plan.half.name}: added p50, ms", _added(units, plan.half, 0.5), 2.0, "at most"),
        Bar(f"{plan.half.name}: added p99, ms", _added(units, plan.half, 0.99), 10.0, "at most"),
        Bar(f"{largest.name}: resident MB of the process", max(peaks, default=None), 350.0, "at most"),
    ]


def rate_of(document: Mapping[str, Any], cell: Cell) -> float | None:
    """What one repeat of an arm reached in a cell."""
    return next((result["rate"] for result in document.get("cells", ()) if result["cell"] == cell.name), None)


def middle_of(plan: Plan) -> Cell:
    """The closed loop whose size the half load has too: half of what ours reaches there is the load."""
    return next((cell for cell in plan.closed if cell.size == plan.half.size), plan.closed[-1])


def _results(repeats: Sequence[Mapping[str, Any]], cell: Cell) -> list[Mapping[str, Any]]:
    return [result for unit in repeats for result in unit.get("cells", ()) if result["cell"] == cell.name]


def _row(arm: str, cell: Cell, results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    rates = spread([result["rate"] for result in results])
    latencies = _latencies(results)
    return {
        "arm": arm,
        "cell": cell.name,
        "checks/s": rates.median if rates else None,
        "spread": f"{rates.low:.3g} – {rates.high:.3g}" if rates else "–",
        "p50 ms": _milliseconds(percentile(latencies, 0.5)),
        "p99 ms": _milliseconds(percentile(latencies, 0.99)),
        "failed": sum(sum(result["failed"].values()) for result in results),
        "CPU ms/check": _median(results, "server_ms"),
        "pod's": _median(results, "pod_ms"),
        "load's cores": _median(results, "load_cores"),
        "peak RSS MB": max((result["peak_mb"] for result in results if result["peak_mb"]), default=None),
        "checks": len(latencies),
    }


def _latencies(results: Sequence[Mapping[str, Any]]) -> list[float]:
    return [latency for result in results for latency in result["latencies"]]


def _median(results: Sequence[Mapping[str, Any]], key: str) -> float | None:
    found = spread([result[key] for result in results])
    return found.median if found else None


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1000


def _rates(units: Units, arm: str, cell: Cell) -> list[float | None]:
    return [rate_of(unit, cell) for unit in units.get(arm, ())]


def _ratio(units: Units, other: str, cell: Cell) -> float | None:
    return ratio_of_repeats(_rates(units, _OURS, cell), _rates(units, other, cell))


def _least_ratio(units: Units, cell: Cell) -> float | None:
    ratios = [ratio for peer in _PYTHON_PEERS if (ratio := _ratio(units, peer, cell)) is not None]
    return min(ratios, default=None)


def _added(units: Units, cell: Cell, share: float) -> float | None:
    """Milliseconds between the percentiles of ours and of a direct call at the same load."""
    ours, direct = (
        percentile(_latencies(_results(units.get(arm, ()), cell)), share) for arm in (_OURS, _DIRECT)
    )
    return None if ours is None or direct is None else (ours - direct) * 1000
