"""The benchmark of hash lists: what is listed, what is looked up, and what is made of it."""

import random
from pathlib import Path

import pytest

from bench.lists import CASES, Case, entries, flipped, measure, report, write_list


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_small_run_finds_all_that_is_listed(tmp_path: Path, case: Case) -> None:
    """Every look-up has the right answer, and the row has its figures."""
    write_list(tmp_path, case, 500)
    row = measure(tmp_path, case, 500, 20)
    assert row["entries"] == 500
    assert 0 < row["p50_ms"] <= row["p99_ms"] <= row["most_ms"]


def test_a_list_is_the_same_each_time() -> None:
    """What is looked up is chosen from the entries, drawn again."""
    for case in CASES:
        assert list(entries(case, 50)) == list(entries(case, 50))


def test_bits_are_changed_as_told() -> None:
    """A look-up at the list's distance is really at that distance."""
    changed = flipped(random.Random(1), bytes(32), 31)
    assert int.from_bytes(changed).bit_count() == 31


def test_the_worst_list_is_held_against_the_bars() -> None:
    """One row that is too slow or too large misses its bar."""
    good = {"p99_ms": 2.0, "peak_mb": 200.0}
    assert [bar.met for bar in report([good, good], {}).bars] == [True, True]
    assert [bar.met for bar in report([good, good | {"p99_ms": 6.0}], {}).bars] == [False, True]
    assert [bar.met for bar in report([good | {"peak_mb": 301.0}, good], {}).bars] == [True, False]
