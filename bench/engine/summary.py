"""From all arms' units to the rows and bars of the report. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from bench.engine.plan import Cell, Plan
from bench.engine.statistics import Spread, percentile, ratio_of_repeats, spread
from bench.report import Bar

Units = Mapping[str, Sequence[Mapping[str, Any]]]
"""Documents of `unit.py` by arm, in the order of the repeats."""

OURS, TUTORIAL = "ours", "tutorial"
# Description wanted → checks a second over the tutorial loop's, and over the best of the others'.
_FASTER = {True: (4.0, 1.8), False: (6.0, 2.5)}
_TAIL = 3.0


def rows(units: Units, plan: Plan, titles: Mapping[str, str]) -> list[dict[str, Any]]:
    """One row for each arm and cell, then one for each arm's agreement with the tutorial loop."""
    found = []
    for arm, title in titles.items():
        documents = units.get(arm, ())
        if reason := next((unit["unavailable"] for unit in documents if "unavailable" in unit), None):
            found.append({"arm": arm, "title": title, "not measured": reason})
            continue
        found += [_row(arm, cell, documents) for cell in plan.cells if _results(documents, cell)]
    return found + agreement_rows(units)


def bars(units: Units, plan: Plan) -> list[Bar]:
    """What the benchmark is held to; a bar without both sides measured has no value."""
    held = [cell for cell in plan.cells if cell.clients in (8, 32) and not cell.duplicates]
    others = [arm for arm in units if arm not in (OURS, TUTORIAL)]
    found = []
    for cell in held:
        tutorial, best = _FASTER[cell.description]
        value = _faster(units, cell, TUTORIAL)
        found.append(Bar(f"{cell.name}: × the tutorial loop", value, tutorial, "at least"))
        ratios = [ratio for arm in others if (ratio := _faster(units, cell, arm)) is not None]
        value = min(ratios, default=None)
        found.append(Bar(f"{cell.name}: × the best other server", value, best, "at least"))
    return found + [bar for description in (True, False) for bar in _tails(units, plan, description)]


def agreement_rows(units: Units) -> list[dict[str, Any]]:
    """How far each arm's answers on the exact images are the tutorial loop's."""
    reference = _answers(units, TUTORIAL)
    found = []
    for arm in units:
        mine = _answers(units, arm)
        pairs = list(zip(mine, reference, strict=False))
        if not pairs:
            continue
        same = [a == b for one, other in pairs for a, b in zip(one["answers"], other["answers"], strict=True)]
        texts = [one["description"] == other["description"] for one, other in pairs]
        gaps = [_gap(one["margins"], other["margins"]) for one, other in pairs if one["margins"]]
        found.append(
            {
                "arm": arm,
                "images compared with the tutorial loop": len(pairs),
                "answers alike": sum(same) / len(same),
                "descriptions alike": sum(texts) / len(texts),
                "largest ΔP(yes)": max(gaps, default=None),
            }
        )
    return found


def _row(arm: str, cell: Cell, units: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    results = _results(units, cell)
    latencies = [latency for result in results for latency in result["latencies"]]
    rate = spread([result["rate"] for result in results])
    return {
        "arm": arm,
        "cell": cell.name,
        "checks/s": rate and rate.median,
        "spread": rate and _interval(rate),
        "p50 s": percentile(latencies, 0.5),
        "p95 s": percentile(latencies, 0.95),
        "p99 s": percentile(latencies, 0.99),
        "good/s": _middle(results, "good"),
        "shed": _middle(results, "shed"),
        "late": _middle(results, "late"),
        "failed": _middle(results, "failed"),
        "CPU s/check": _middle(results, "cpu_per_check"),
        "peak RSS MiB": max(unit["peak_rss_mib"] for unit in units),
        "batch": _middle(results, "batch"),
        "checks": len(latencies),
    }


def _interval(rate: Spread) -> str:
    return f"{rate.low:.3g} – {rate.high:.3g}"


def _middle(results: Sequence[Mapping[str, Any]], name: str) -> float | None:
    found = spread([result[name] for result in results])
    return found.median if found else None


def _results(units: Sequence[Mapping[str, Any]], cell: Cell) -> list[Mapping[str, Any]]:
    return [result for unit in units for result in unit.get("cells", ()) if result["cell"] == cell.name]


def _rates(units: Units, arm: str, cell: Cell) -> list[float | None]:
    return [result["rate"] for result in _results(units.get(arm, ()), cell)]


def _faster(units: Units, cell: Cell, other: str) -> float | None:
    return ratio_of_repeats(_rates(units, OURS, cell), _rates(units, other, cell))


def _tails(units: Units, plan: Plan, description: bool) -> list[Bar]:
    """p99 at 0.8 of our capacity over the p50 of a lone client: of all its checks, and of those of one size.

    An image of twelve megapixels takes several times as long as the middle one, alone or not: the second says
    what waiting for others adds.
    """
    ours = units.get(OURS, ())
    cells = [cell for cell in plan.cells if cell.description == description and not cell.duplicates]
    alone = next((cell for cell in cells if cell.clients == 1), None)
    loaded = next((cell for cell in cells if cell.load == 0.8), None)
    if alone is None or loaded is None:
        return []
    lone, checks = _timed(ours, alone), _timed(ours, loaded)
    everything = percentile([latency for _, latency in lone], 0.5)
    sizes = {size: percentile([latency for of, latency in lone if of == size], 0.5) for size, _ in lone}
    over_all = [latency / everything for _, latency in checks] if everything else []
    # Where a size is not known (of late checks), or was never met alone, that of all sizes stands in.
    over_own = [latency / (sizes.get(size) or everything) for size, latency in checks] if everything else []
    return [
        Bar(f"{loaded.name}: p99 over a lone client's p50", percentile(over_all, 0.99), _TAIL, "at most"),
        Bar(f"{loaded.name}: p99 over its own size's, alone", percentile(over_own, 0.99), _TAIL, "at most"),
    ]


def _timed(units: Sequence[Mapping[str, Any]], cell: Cell) -> list[tuple[int, float]]:
    """Pixels and latency of every check of a cell."""
    return [
        pair
        for result in _results(units, cell)
        for pair in zip(result["pixels"], result["latencies"], strict=True)
    ]


def _answers(units: Units, arm: str) -> list[Mapping[str, Any]]:
    return [answer for unit in units.get(arm, ()) for answer in unit.get("agreement", ())]


def _gap(mine: Sequence[float], theirs: Sequence[float]) -> float:
    """Largest difference of P(yes), before calibration."""
    return max(
        (abs(_probability(a) - _probability(b)) for a, b in zip(mine, theirs, strict=False)), default=0.0
    )


def _probability(margin: float) -> float:
    return 1.0 / (1.0 + math.exp(-max(-60.0, min(60.0, margin))))
