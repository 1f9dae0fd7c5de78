"""Lists in a folder: taken up when they change, kept when the change is bad."""

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.hashes import lists
from ostiary_gateway.hashes.in_force import ListInForce
from ostiary_gateway.list_source import FolderListSource

HASH = "f8f8f0cee0f4a84f06370a22038f63f0b36e2ed596621e1d33e6b39c4e9c9b22"
OTHER = "e64cc9d91c623882f8d1f1d9a398e78c9f199b3bd83924f2b7e11e0bf861b064"
NOW = datetime(2026, 11, 25, tzinfo=UTC)


class Stage:
    """A folder of lists, a clock, and reading that is done when the test says so."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now = 0.0
        self.waiting: list[Callable[[], None]] = []

    def write(self, name: str, *hashes: str, **more: object) -> None:
        (self.folder / f"{name}.csv").write_bytes(lists.rows([{"hash": each} for each in hashes]))
        (self.folder / f"{name}.yaml").write_bytes(lists.header(name=name, **more))

    def source(self) -> FolderListSource:
        return FolderListSource(self.folder, lambda: self.now, start=self.waiting.append)

    def later(self, source: FolderListSource) -> dict[str, int]:
        """What is in force after a second, once all reading is done: entries by title."""
        self.now += 1.0
        source.lists()
        while self.waiting:
            self.waiting.pop()()
        return {one.header.title: len(one) for one in source.lists().by_name.values()}


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    stage = Stage(tmp_path)
    stage.write("fakes", HASH)
    stage.write("appeals", HASH, OTHER, action="ACTION_NOTE")
    return stage


def test_all_lists_of_the_folder_are_in_force(stage: Stage) -> None:
    """In the order of their names; other files and hidden ones are left aside."""
    (stage.folder / "README.md").write_text("about")
    (stage.folder / ".fakes.csv.partial").write_text("half")
    held = stage.source().lists()
    assert list(held.by_name) == ["appeals", "fakes"]
    assert [one.header.name for one in held.asking] == ["fakes"]
    assert [one.header.name for one in held.allowing] == ["appeals"]


def test_changes_are_taken_up_beside_the_event_loop(stage: Stage) -> None:
    """A second later reading begins; until it is done the earlier lists hold, and it begins only once."""
    source = stage.source()
    before = source.lists()
    stage.write("fakes", HASH, OTHER, version="2")
    stage.now = 0.9
    assert source.lists() is before
    assert not stage.waiting
    stage.now = 1.0
    assert source.lists() is before
    stage.now = 5.0
    assert source.lists() is before
    assert len(stage.waiting) == 1
    stage.waiting.pop()()
    assert source.lists().by_name["fakes"].header.title == "fakes@2"


def test_a_list_that_did_not_change_is_not_read_again(stage: Stage) -> None:
    """A seller's new allow entry does not cost reading a million others."""
    source = stage.source()
    before = source.lists()
    stage.write("appeals", HASH, version="2", action="ACTION_NOTE")
    stage.later(source)
    assert source.lists().by_name["fakes"] is before.by_name["fakes"]
    assert source.lists().by_name["appeals"] is not before.by_name["appeals"]


def cut(stage: Stage) -> None:
    (stage.folder / "fakes.csv").write_bytes(lists.rows([{"hash": HASH}, {"hash": OTHER}])[:-9])


def emptied(stage: Stage) -> None:
    (stage.folder / "fakes.csv").write_bytes(b"")


def half_gone(stage: Stage) -> None:
    (stage.folder / "fakes.csv").unlink()


def half_gone_too(stage: Stage) -> None:
    (stage.folder / "fakes.yaml").unlink()


def renamed(stage: Stage) -> None:
    stage.write("fakes", OTHER)
    (stage.folder / "fakes.yaml").write_bytes(lists.header(name="appeals"))


@pytest.mark.parametrize(
    "spoil", [cut, emptied, half_gone, half_gone_too, renamed], ids=lambda spoil: spoil.__name__
)
def test_a_bad_change_keeps_the_last_good_list(stage: Stage, spoil: Callable[[Stage], None]) -> None:
    """Others are taken up all the same, and so is the next good version."""
    source = stage.source()
    spoil(stage)
    stage.write("more", OTHER)
    assert stage.later(source) == {"appeals@1": 2, "fakes@1": 1, "more@1": 1}
    assert source.lists().by_name["fakes"].find(bytes.fromhex(HASH), "", NOW) is not None
    stage.write("fakes", HASH, OTHER, version="2")
    assert stage.later(source) == {"appeals@1": 2, "fakes@2": 2, "more@1": 1}


def test_a_folder_that_is_gone_leaves_all_in_force(stage: Stage) -> None:
    """As when a volume is not mounted for a moment."""
    source = stage.source()
    away = stage.folder.with_name("away")
    stage.folder.rename(away)
    assert stage.later(source) == {"appeals@1": 2, "fakes@1": 1}
    away.rename(stage.folder)
    stage.write("fakes", OTHER, version="2")
    assert stage.later(source) == {"appeals@1": 2, "fakes@2": 1}


def test_a_list_is_taken_out_with_both_its_files(stage: Stage) -> None:
    """That is how its images are let go."""
    source = stage.source()
    for suffix in ("yaml", "csv"):
        (stage.folder / f"fakes.{suffix}").unlink()
    assert stage.later(source) == {"appeals@1": 2}


def test_a_mounted_volume_is_followed_through_its_links(tmp_path: Path) -> None:
    """Kubernetes swaps a link to a folder; the lists behind it change together."""
    for name, hash_ in (("a", HASH), ("b", OTHER)):
        (tmp_path / name).mkdir()
        Stage(tmp_path / name).write("fakes", hash_)
    mounted = tmp_path / "lists"
    mounted.mkdir()
    (mounted / "..data").symlink_to(tmp_path / "a")
    for suffix in ("yaml", "csv"):
        (mounted / f"fakes.{suffix}").symlink_to(Path("..data") / f"fakes.{suffix}")
    stage = Stage(mounted)
    source = stage.source()
    (mounted / "..next").symlink_to(tmp_path / "b")
    os.replace(mounted / "..next", mounted / "..data")  # noqa: PTH105 - the system call itself
    stage.later(source)
    assert source.lists().by_name["fakes"].find(bytes.fromhex(OTHER), "", NOW) is not None


@pytest.mark.parametrize("suffix", ["csv", "yml"])
def test_half_a_list_is_refused_at_the_start(stage: Stage, suffix: str) -> None:
    """A list left aside without a word would let its images pass."""
    (stage.folder / f"lone.{suffix}").write_text("hash\n")
    with pytest.raises(ValueError, match=r"a list is both lone\.yaml and lone\.csv"):
        stage.source()


def test_a_bad_list_is_refused_at_the_start(stage: Stage) -> None:
    """There is no last good one to fall back on; all that is wrong is told."""
    stage.write("fakes", HASH[:-1])
    stage.write("more", OTHER, kind="HASH_KIND_SHA256", maxDistance=3)
    with pytest.raises(ValueError, match=r"fakes\.csv:2: hash: 63 characters.*; more\.yaml: maxDistance"):
        stage.source()


def test_a_missing_folder_is_refused_at_the_start(tmp_path: Path) -> None:
    """Settings that name none are a mistake."""
    with pytest.raises(ValueError, match="none: No such file or directory"):
        FolderListSource(tmp_path / "none")


def test_reading_is_done_in_a_thread_unless_told_otherwise(stage: Stage) -> None:
    """As in a gateway."""
    source = FolderListSource(stage.folder, lambda: stage.now)
    stage.write("fakes", HASH, OTHER, version="2")
    stage.now = 1.0
    for _ in range(1000):
        if source.lists().by_name["fakes"].header.version == "2":
            return
        time.sleep(0.005)
    raise AssertionError("the change was not taken up")


def test_amended_by_several(tmp_path: Path) -> None:
    """Gateways that share a folder each add to what the others wrote; nothing is lost."""
    sources = [FolderListSource(tmp_path, start=lambda work: None) for _ in range(4)]
    header = lists.header(name="fakes")

    def add(number: int) -> None:
        def amended(held: ListInForce | None) -> tuple[bytes, bytes]:
            known = [held.index.hash_at(place).hex() for place in range(len(held))] if held else []
            return header, lists.rows([{"hash": hash_} for hash_ in [*known, f"{number:064x}"]])

        assert sources[number % 4].amend("fakes", amended) == []

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(add, range(40)))
    assert len(FolderListSource(tmp_path).lists().by_name["fakes"]) == 40
    before = sources[0].lists()
    assert sources[0].amend("fakes", lambda held: None) == []
    assert sources[0].lists() is before
