"""The word-mark benchmark measures what it says it does."""

from bench.wordmarks import made_brands, pages, report, rows


def test_pages_hold_marks_among_words() -> None:
    """As many pieces of print as asked for, marks in two lines counted once, and brands that are made."""
    brands = made_brands(50)
    assert len(set(brands)) == 50
    for page in pages(brands, count=3):
        assert 60 <= len(page.lines) <= 66
        assert page.brands <= set(brands)
        assert 1 <= len(page.brands) <= 6


def test_every_mark_is_found_while_the_time_is_taken() -> None:
    """A row stands for comparisons that found all that was there."""
    (row,) = rows([40], rounds=2)
    assert row["brands"] == 40
    assert row["cpu_ms_median"] > 0


def test_the_bar_is_that_of_3000_brands() -> None:
    """The row of 3,000 brands decides, and a run without it does not meet the bar."""
    made = [{"brands": count, "cpu_ms_median": float(count)} for count in (300, 3_000, 10_000)]
    assert report(made, {}).bars[0].value == 3_000
    assert not report([], {}).bars[0].met
