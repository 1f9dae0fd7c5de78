"""Watched files: taken up when they change, kept when the change is bad."""

from pathlib import Path

import pytest

from ostiary_gateway.watched import WatchedFile


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def watched(tmp_path: Path, clock: Clock) -> WatchedFile[int]:
    (tmp_path / "number").write_text("1")
    return WatchedFile(tmp_path / "number", int, clock=clock)


def test_a_change_is_taken_up_within_the_interval(
    watched: WatchedFile[int], tmp_path: Path, clock: Clock
) -> None:
    """Not before: a call does not cost a look at the disk each time."""
    (tmp_path / "number").write_text("22")
    clock.now = 0.9
    assert watched.current() == 1
    clock.now = 1.0
    assert watched.current() == 22


@pytest.mark.parametrize("bad", ["", "x", None], ids=["empty", "no number", "gone"])
def test_a_bad_change_keeps_the_last_good(
    watched: WatchedFile[int], tmp_path: Path, clock: Clock, bad: str | None
) -> None:
    """And the next good one is taken up again."""
    path = tmp_path / "number"
    if bad is None:
        path.unlink()
    else:
        path.write_text(bad)
    clock.now = 1.0
    assert watched.current() == 1
    path.write_text("333")
    clock.now = 2.0
    assert watched.current() == 333


def test_a_mounted_volume_is_followed_through_its_link(tmp_path: Path, clock: Clock) -> None:
    """Kubernetes swaps a link to a folder; size and time of the new file may be those of the old."""
    for name, text in (("a", "1"), ("b", "2")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "number").write_text(text)
    link = tmp_path / "data"
    link.symlink_to("a")
    watched = WatchedFile(link / "number", int, clock=clock)
    (tmp_path / "next").symlink_to("b")
    (tmp_path / "next").replace(link)
    clock.now = 1.0
    assert watched.current() == 2


def test_a_bad_first_version_is_refused_with_its_path(tmp_path: Path) -> None:
    """There is no last good one to fall back on."""
    path = tmp_path / "number"
    with pytest.raises(ValueError, match="number: "):
        WatchedFile(path, int)
    path.write_text("x")
    with pytest.raises(ValueError, match="number: invalid literal"):
        WatchedFile(path, int)
