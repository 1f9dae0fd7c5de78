"""The benchmark of the record: its decisions, its searches, and what it holds against the bars."""

from pathlib import Path
from typing import Any

import pytest

from bench.record.__main__ import bars, replay_row, verify_row
from bench.record.decisions import check_id, decision, fill
from bench.record.searching import index, measure, searches
from ostiary_gateway.rules.normal import read


def test_decisions_are_the_same_each_time() -> None:
    """A number stands for one decision, and no two share an id."""
    assert decision(7) == decision(7)
    assert len({check_id(number) for number in range(5000)}) == 5000
    assert all(len(check_id(number)) == 36 for number in (0, 999_999))
    assert read(decision(3).listing.title).text


def test_a_small_store(tmp_path: Path) -> None:
    """What is made is a store that verifies whole, and that searches find something in."""
    fill(tmp_path, 600)
    assert verify_row(tmp_path, 600)["verified"] == 600
    assert index(tmp_path / "ostiary.db")["indexed"] == 0
    rows = measure("SQLite", tmp_path / "ostiary.db", 600, 1)
    assert {row["search"] for row in rows} == {kind for kind, _ in searches(1, 600)} | {"all"}
    assert all(0 < row["p50_ms"] <= row["p99_ms"] <= row["most_ms"] for row in rows)


def test_judging_again(tmp_path: Path) -> None:
    """The candidate flips some verdicts, and none of them needed a second look."""
    row = replay_row(tmp_path, 60)
    assert (row["judged"], row["in_full"]) == (60, 0)
    assert row["flips"] > 0


GOOD: list[dict[str, Any]] = [
    {"on": "disk", "grouped_per_s": 16_000.0, "single_per_s": 300.0},
    {"on": "memory", "grouped_per_s": 15_500.0, "single_per_s": 1_600.0},
    {"verified": 500_000, "seconds": 29.0, "cpu_s": 28.0},
    {"database": "SQLite", "search": "all", "p99_ms": 98.0},
    {"database": "PostgreSQL", "search": "all", "p99_ms": 99.0},
    {"judged": 1, "per_cpu_s": 20_001.0},
]


@pytest.mark.parametrize(
    ("number", "change", "met"),
    [
        (0, {}, [True] * 6),
        (0, {"grouped_per_s": 14_000.0}, [True] * 6),
        (1, {"single_per_s": 1_499.0}, [True, False, True, True, True, True]),
        (2, {"seconds": 31.0}, [True, True, False, True, True, True]),
        (3, {"p99_ms": 101.0}, [True, True, True, True, False, True]),
        (4, {"p99_ms": 101.0}, [True, True, True, False, True, True]),
        (5, {"per_cpu_s": 19_999.0}, [True, True, True, True, True, False]),
    ],
)
def test_bars(number: int, change: dict[str, Any], met: list[bool]) -> None:
    """Each figure is held against its own bar; a million is reckoned from what was verified."""
    rows = [row | change if index == number else row for index, row in enumerate(GOOD)]
    assert [bar.met for bar in bars(rows)] == met


def test_what_was_not_measured_is_not_met() -> None:
    """A part that was left out does not count as good."""
    assert [bar.met for bar in bars([])] == [False] * 6
