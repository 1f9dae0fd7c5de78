"""The writer that all benchmarks share, and the page that it feeds."""

import json
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from bench import performance
from bench.report import RESULTS, Bar, Report, cell, installed, show, tables, this_machine, write

BARS = (
    Bar("faster", 4.2, 4.0, "at least"),
    Bar("tail", 3.5, 3.0, "at most"),
    Bar("gone", None, 1.0, "at least"),
)
ROWS = (
    {"arm": "ours", "checks/s": 12.345},
    {"arm": "theirs", "checks/s": None},
    {"arm": "ours", "alike": 1.0},
)
REPORT = Report("sample", ROWS, BARS, settings={"threads": 1}, versions={"torch": "2.13.0"})


@pytest.mark.parametrize(
    ("value", "direction", "met"),
    [(4.0, "at least", True), (3.9, "at least", False), (4.0, "at most", True), (4.1, "at most", False)],
)
def test_a_bar_is_met_in_its_direction(value: float, direction: str, met: bool) -> None:
    """Reaching it exactly is enough, either way."""
    assert Bar("bar", value, 4.0, direction).met is met  # type: ignore[arg-type]


def test_what_was_not_measured_is_not_met() -> None:
    """A failed arm never passes for a good one."""
    assert not Bar("bar", None, 0.0, "at least").met
    assert not Bar("bar", None, 9.0, "at most").met


def test_a_report_is_written_whole(tmp_path: Path) -> None:
    """Everything that a reader needs is in the file, bars with what they came to."""
    path = write(REPORT, tmp_path / "results")
    document = json.loads(path.read_text("utf-8"))
    assert path.name == "sample.json"
    assert set(document) == {"name", "date", "machine", "versions", "settings", "rows", "bars"}
    assert [bar["met"] for bar in document["bars"]] == [True, False, False]
    assert document["rows"] == [dict(row) for row in ROWS]
    assert list(path.parent.iterdir()) == [path]


def test_a_report_is_printed_for_people() -> None:
    """Three digits, a dash for no figure, and what each bar came to."""
    text = StringIO()
    show(REPORT, Console(file=text, width=120))
    for words in ("12.3", "–", "yes", "NO", "not measured", "at most"):
        assert words in text.getvalue()


def test_rows_of_different_kinds_make_different_tables() -> None:
    """Rows stand together by their columns, in the order in which they came."""
    assert [(columns, len(lines)) for columns, lines in tables(ROWS)] == [
        (["arm", "checks/s"], 2),
        (["arm", "alike"], 1),
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (True, "yes"), (1234.5, "1,234"), (0.01234, "0.0123"), (7, "7"), ("word", "word")],
)
def test_figures_have_three_digits(value: object, text: str) -> None:
    """Nobody reads more, and noise has no more."""
    assert cell(value) == text


def test_the_machine_and_the_versions_are_told() -> None:
    """The processor by name, cores that may be used, versions of what is there and nothing of what is not."""
    machine = this_machine()
    assert machine["cpu"]
    assert machine["cores"] >= 1
    assert set(installed(("pytest", "no-such-distribution"))) == {"pytest"}


def test_the_page_shows_a_result_between_its_marks(tmp_path: Path) -> None:
    """Bars and rows as tables; what stands around the marks stays."""
    page = tmp_path / "performance.md"
    marks = "".join(f"<!-- {name}: measured -->\nold\n<!-- {name}: end -->\n" for name in performance.NAMES)
    page.write_text(f"before\n{marks}after\n", "utf-8")
    write(Report("engine", ROWS, BARS), tmp_path)
    performance.rewrite(page, tmp_path)
    text = page.read_text("utf-8")
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "| faster | 4.2 | at least | 4 | yes |" in text
    assert "| ours | 12.3 |" in text
    assert "old" not in text
    assert "Not yet measured." in text  # the other benchmark's block


def test_a_page_without_marks_is_refused() -> None:
    """Nothing is written into a page that was not made for it."""
    with pytest.raises(ValueError, match="marks of engine missing"):
        performance.rewritten("no marks", "engine", "text")


def test_the_committed_page_shows_the_committed_results(tmp_path: Path) -> None:
    """Figures on the page are those of bench/results, and nobody edited them by hand."""
    page = tmp_path / "performance.md"
    page.write_text(performance.PAGE.read_text("utf-8"), "utf-8")
    performance.rewrite(page, RESULTS)
    assert page.read_text("utf-8") == performance.PAGE.read_text("utf-8")
