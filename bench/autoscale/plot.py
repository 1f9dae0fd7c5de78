"""The curves as one SVG: a panel for each trace, attainment against GPU-hours."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from statistics import mean

from bench.autoscale.compare import Point, frontier
from bench.autoscale.summary import Results

_WIDE, _HIGH, _GAP = 320, 220, 60
_LEAST, _MOST = 0.5, 6.0
_LEAST_MISSED = 0.0003
_COLOURS = ("#d62728", "#1f77b4", "#2ca02c", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f")
_LEVELS = (0.5, 0.9, 0.99, 0.999)


def draw(results: Results, path: Path) -> None:
    """Writes the plot: means of each setting over a trace's cells, and the curve of what nothing beats."""
    traces = list(dict.fromkeys(cell.trace for cell in results.cells))
    rows = math.ceil(len(traces) / 3)
    width, height = 3 * (_WIDE + _GAP) + _GAP, rows * (_HIGH + _GAP) + _GAP + 30
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"'
        ' font-family="sans-serif" font-size="11">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
    ]
    for number, trace in enumerate(traces):
        left, top = _GAP + number % 3 * (_WIDE + _GAP), 40 + number // 3 * (_HIGH + _GAP)
        parts += [f'<g transform="translate({left},{top})">', *_panel(results, trace), "</g>"]
    for number, name in enumerate(results.policies):
        x = _GAP + number * 170
        colour = _COLOURS[number % len(_COLOURS)]
        parts.append(f'<rect x="{x}" y="{height - 22}" width="12" height="12" fill="{colour}"/>')
        parts.append(f'<text x="{x + 16}" y="{height - 12}">{name}</text>')
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([*parts, "</svg>\n"]), "utf-8")


def _panel(results: Results, trace: str) -> list[str]:
    parts = [
        f'<text x="0" y="-8" font-weight="bold">{trace}</text>',
        f'<rect width="{_WIDE}" height="{_HIGH}" fill="none" stroke="#999"/>',
        f'<text x="{_WIDE / 2}" y="{_HIGH + 28}" text-anchor="middle">GPU-hours ÷ oracle\'s</text>',
    ]
    for cost in range(1, int(_MOST) + 1):
        parts.append(f'<text x="{_x(cost):.0f}" y="{_HIGH + 14}" text-anchor="middle">{cost}</text>')
    for level in _LEVELS:
        y = _y(level)
        parts.append(f'<line x2="{_WIDE}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="-4" y="{y + 4:.1f}" text-anchor="end">{100 * level:g}%</text>')
    chosen = [index for index, cell in enumerate(results.cells) if cell.trace == trace]
    for number, cells in enumerate(results.policies.values()):
        knobs = range(len(cells[0].points))
        points = [_mean([cells[index].points[knob] for index in chosen]) for knob in knobs]
        hull = [point for point in frontier(points) if point.cost <= _MOST]
        line = " ".join(f"{_x(point.cost):.1f},{_y(point.attainment):.1f}" for point in hull)
        colour = _COLOURS[number % len(_COLOURS)]
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for point in hull:
            parts.append(
                f'<circle cx="{_x(point.cost):.1f}" cy="{_y(point.attainment):.1f}" r="3" fill="{colour}"/>'
            )
    return parts


def _mean(points: Sequence[Point]) -> Point:
    return Point(mean(point.attainment for point in points), mean(point.cost for point in points))


def _x(cost: float) -> float:
    return (max(cost, _LEAST) - _LEAST) / (_MOST - _LEAST) * _WIDE


def _y(attainment: float) -> float:
    """By orders of magnitude of what is missed: 0%, 90%, 99%, 99.9% and beyond are equally far apart."""
    missed = min(max(1.0 - attainment, _LEAST_MISSED), 1.0)
    return _HIGH * (1.0 - math.log10(missed) / math.log10(_LEAST_MISSED))
