"""The benchmark of a pod's memory: what is sent, and what is made of the samples."""

from itertools import islice

from bench.pod_memory import report, requests
from ostiary.v1.moderation_pb2 import CheckRequest


def samples(*megabytes: float) -> list[dict[str, float]]:
    return [
        {"checks": 10 * number, "least_mb": float(value), "most_mb": value + 90.0, "decoders_mb": 50.0}
        for number, value in enumerate(megabytes)
    ]


def bars(rows: list[dict[str, float]]) -> dict[str, bool]:
    """Whether each bar is met, by the first words of its name."""
    return {bar.name.split()[0]: bar.met for bar in report(rows, {}).bars}


def test_growth_is_told_from_warming_up() -> None:
    """What is added while it warms up is no growth; what is added from then on is."""
    steady = [700, 750, *[800 + number % 3 for number in range(40)]]
    growing = [700, 750, *[800 + number for number in range(40)]]
    assert bars(samples(*steady)) == {"most": True, "growth": True}
    assert bars(samples(*growing)) == {"most": True, "growth": False}


def test_the_highest_lot_counts() -> None:
    """One lot in fifty whose peak is past the bar, with the decoders' memory, misses it, and is shown."""
    rows = samples(700, *[800] * 50)
    assert bars(rows)["most"] is True
    rows[23]["most_mb"] = 1_160.0
    assert bars(rows)["most"] is False
    assert rows[23] in report(rows, {}).rows


def test_the_report_shows_the_ends_and_some_between() -> None:
    """The table has the start, the warm-up and the last lot, however many there are."""
    rows = report(samples(700, *range(800, 851)), {}).rows
    assert [row["least_mb"] for row in rows][:2] == [700, 800]
    assert rows[-1]["least_mb"] == 850
    assert 11 <= len(rows) <= 14


def test_no_two_checks_are_alike() -> None:
    """The same seed gives the same work; within it words, images and wishes differ."""
    first, again = (list(islice(requests(7), 30)) for _ in range(2))
    assert first == again
    checks = [CheckRequest.FromString(request.check_request) for request in first]
    assert len({check.listing.title for check in checks}) == 30
    assert {check.wants.flags for check in checks} == {True, False}
    assert {len(check.images) for check in checks} == {1, 2, 3}
    assert len({image.data for check in checks for image in check.images}) > 30
