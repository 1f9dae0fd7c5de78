"""Which promises `make prove` runs."""

import pytest

from bench.prove import chosen, is_shown


@pytest.mark.parametrize(
    ("row", "seconds", "shown"),
    [
        (None, 1200.0, False),
        ({"count": 100, "full_count": 100, "allowed": 60.0}, 1200.0, True),
        ({"count": 99, "full_count": 100, "allowed": 1200.0}, 1200.0, True),
        ({"count": 99, "full_count": 100, "allowed": 1200.0}, 3600.0, False),
    ],
    ids=["never run", "in full", "as much time as before", "more time than before"],
)
def test_what_is_shown(row: dict[str, float] | None, seconds: float, shown: bool) -> None:
    """A result stands, unless it is not in full and there is more time for it now."""
    assert is_shown(row, seconds) is shown


def test_which_are_chosen() -> None:
    """By number, in the order that was asked for; all that are built for none; others are named."""
    assert [promise.number for promise in chosen("12, 2")] == [12, 2]
    assert len(chosen("")) > 1
    with pytest.raises(SystemExit, match="not built yet: promises 99; built: 1, "):
        chosen("2,99")
