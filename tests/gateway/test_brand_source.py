"""Registries in a folder: taken up when they change, kept when the change is bad, put by administrators."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.brands import registries
from gateway.brands.registries import brand
from ostiary_gateway.brand_source import FolderBrandSource


class Stage:
    """A folder of registries, a clock, and looks that are taken when the test says so."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now = 0.0
        self.waiting: list[Callable[[], None]] = []

    def write(self, name: str, *brands: dict, **more: object) -> None:  # type: ignore[type-arg]
        registries.write(self.folder, *brands, name=name, **more)

    def source(self) -> FolderBrandSource:
        return FolderBrandSource(self.folder, lambda: self.now, start=self.waiting.append)

    def later(self, source: FolderBrandSource) -> dict[str, list[str]]:
        """What is in force after a second, once the folder was looked at: brands by title."""
        self.now += 1.0
        source.brands()
        while self.waiting:
            self.waiting.pop()()
        held = source.brands().by_name.values()
        return {one.title: [each.id for each in one.message.brands] for one in held}


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    stage = Stage(tmp_path)
    stage.write("house", brand())
    stage.write("guests", brand("acmoria", shade=1))
    return stage


def test_all_registries_of_the_folder_are_in_force(stage: Stage) -> None:
    """One gallery of them all; other files and hidden ones are left aside."""
    (stage.folder / "README.md").write_text("about")
    (stage.folder / ".house.json.partial").write_text("half")
    held = stage.source().brands()
    assert list(held.by_name) == ["guests", "house"]
    assert sorted(held.by_id) == ["acmoria", "zorvane"]
    assert len(held.put_gallery().marks) == 4
    assert held.put_gallery().digest == held.gallery


def test_changes_are_taken_up_beside_the_event_loop(stage: Stage) -> None:
    """A second later a look begins; until it is done the earlier registries hold, and it begins only once."""
    source = stage.source()
    before = source.brands()
    stage.write("house", brand("vellitor", shade=2), version="2")
    stage.now = 0.9
    assert source.brands() is before
    assert not stage.waiting
    stage.now = 1.0
    assert source.brands() is before
    stage.now = 5.0
    assert source.brands() is before
    assert len(stage.waiting) == 1
    stage.waiting.pop()()
    assert source.brands().by_name["house"].title == "house@2"


def test_an_image_is_watched_too(stage: Stage) -> None:
    """A mark that is mended in its file is taken up."""
    source = stage.source()
    before = source.brands()
    (stage.folder / "marks/0.png").write_bytes(registries.png(7, side=9))
    stage.later(source)
    assert source.brands().gallery != before.gallery


def test_a_touched_file_changes_nothing(stage: Stage) -> None:
    """Nor does a remark: what is in force is the same object, and is not pushed again."""
    source = stage.source()
    before = source.brands()
    path = stage.folder / "house.yaml"
    path.write_text("# a remark\n" + path.read_text(encoding="utf-8"), encoding="utf-8")
    stage.later(source)
    assert source.brands() is before


def spoiled(stage: Stage) -> None:
    stage.write("house", brand("vellitor", shade=2, territories=["XX"]))


def not_utf8(stage: Stage) -> None:
    (stage.folder / "house.yaml").write_bytes(b"\xff\xfe")


def without_image(stage: Stage) -> None:
    (stage.folder / "marks/0.png").unlink()


def twice(stage: Stage) -> None:
    (stage.folder / "house.json").write_text("{}")


@pytest.mark.parametrize("spoil", [spoiled, not_utf8, without_image, twice], ids=lambda spoil: spoil.__name__)
def test_a_bad_change_keeps_the_last_good_registry(stage: Stage, spoil: Callable[[Stage], None]) -> None:
    """Others are taken up all the same."""
    source = stage.source()
    spoil(stage)
    stage.write("more", brand("orvantis", shade=3))
    assert stage.later(source) == {"guests@1": ["acmoria"], "house@1": ["zorvane"], "more@1": ["orvantis"]}


def test_registries_that_come_to_overlap_all_stay_as_they_were(stage: Stage) -> None:
    """Which of the two is right is not for the gateway to say; once it is settled, all are taken up."""
    source = stage.source()
    stage.write("house", brand(), version="2")
    stage.write("guests", brand("zorvane", shade=4), version="2")
    assert stage.later(source) == {"guests@1": ["acmoria"], "house@1": ["zorvane"]}
    stage.write("guests", brand("orvantis", shade=4), version="3")
    stage.write("house", brand(), version="2")
    assert stage.later(source) == {"guests@3": ["orvantis"], "house@2": ["zorvane"]}


def test_a_registry_is_taken_out_with_its_file(stage: Stage) -> None:
    """That is how its brands are let go."""
    source = stage.source()
    (stage.folder / "house.yaml").unlink()
    assert stage.later(source) == {"guests@1": ["acmoria"]}


def test_a_folder_that_is_gone_leaves_all_in_force(stage: Stage) -> None:
    """As when a volume is not mounted for a moment; once it is back changes are taken up again."""
    source = stage.source()
    away = stage.folder.with_name("away")
    stage.folder.rename(away)
    assert stage.later(source) == {"guests@1": ["acmoria"], "house@1": ["zorvane"]}
    away.rename(stage.folder)
    stage.write("house", brand("vellitor", shade=2), version="2")
    assert stage.later(source) == {"guests@1": ["acmoria"], "house@2": ["vellitor"]}


def test_a_mounted_volume_is_followed_through_its_links(tmp_path: Path) -> None:
    """Kubernetes swaps a link to a folder; registry and images beside it change together."""
    marks = [{"referenceId": "m", "imageFile": "mark.png"}]
    for name, shade in (("a", 1), ("b", 2)):
        (tmp_path / name).mkdir()
        text = registries.text(brand(marks=marks))
        (tmp_path / name / "house.yaml").write_text(text, encoding="utf-8")
        (tmp_path / name / "mark.png").write_bytes(registries.png(shade))
    mounted = tmp_path / "brands"
    mounted.mkdir()
    (mounted / "..data").symlink_to(tmp_path / "a")
    for file in ("house.yaml", "mark.png"):
        (mounted / file).symlink_to(Path("..data") / file)
    stage = Stage(mounted)
    source = stage.source()
    before = source.brands().gallery
    (mounted / "..next").symlink_to(tmp_path / "b")
    os.replace(mounted / "..next", mounted / "..data")  # noqa: PTH105 - the system call itself
    stage.later(source)
    assert source.brands().gallery != before


def test_the_gallery_before_is_believed_for_a_while(stage: Stage) -> None:
    """Pods need a moment to get the new one; after a minute the old one counts no more."""
    source = stage.source()
    old = source.brands().gallery
    stage.write("house", brand("vellitor", shade=2), version="2")
    stage.later(source)
    new = source.brands().gallery
    assert source.brands().believed == {old, new}
    stage.now += 59.0
    assert old in source.brands().believed
    stage.now += 2.0
    assert source.brands().believed == {new}


def test_permissions_do_not_prolong_belief_in_old_marks(stage: Stage) -> None:
    """Who may sell may change every minute; that must not keep a forgotten mark's gallery alive."""
    source = stage.source()
    old = source.brands().gallery
    stage.write("house", brand("vellitor", shade=2), version="2")
    stage.later(source)
    for number in range(3):
        stage.now += 25.0
        permission = [{"seller": f"s{number}"}]
        stage.write("house", brand("vellitor", shade=2, authorisations=permission), version=f"2.{number}")
        stage.later(source)
    assert source.brands().by_name["house"].title == "house@2.2"
    assert old not in source.brands().believed


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (spoiled, r"house\.yaml:\d+: brands\[0\]\.territories\[0\]: 'XX' is none of"),
        (not_utf8, r"house\.yaml: not UTF-8 text"),
        (without_image, r"house\.yaml:\d+: brands\[0\]\.marks\[0\]\.imageFile: marks/0\.png: No such file"),
        (twice, r"house\.json and house\.yaml are of one name; keep one of them"),
    ],
    ids=["bad", "not utf-8", "no image", "twice"],
)
def test_a_bad_registry_is_refused_at_the_start(
    stage: Stage, spoil: Callable[[Stage], None], words: str
) -> None:
    """There is no last good one to fall back on: file, line, field and reason are told."""
    spoil(stage)
    with pytest.raises(ValueError, match=words):
        stage.source()


def test_registries_that_overlap_are_refused_at_the_start(stage: Stage) -> None:
    """The later file is named, with the field and whom it collides with."""
    stage.write("more", brand("acmoria", shade=5))
    with pytest.raises(
        ValueError, match=r"more\.yaml: brands\[0\]\.id: it is the id of brand acmoria of guests"
    ):
        stage.source()


def test_a_missing_folder_is_refused_at_the_start(tmp_path: Path) -> None:
    """Settings that name none are a mistake."""
    with pytest.raises(ValueError, match="none: No such file or directory"):
        FolderBrandSource(tmp_path / "none")


def test_what_is_put_is_in_force_at_once_and_after_a_restart(stage: Stage) -> None:
    """It is written where it was, images and all, and nothing half written is left."""
    source = stage.source()
    new = registries.registry(brand("vellitor", shade=2), version="2")
    assert source.put(new.message) == []
    assert source.brands().by_name["house"].digest == new.digest
    (stage.folder / "marks/0.png").unlink()
    assert stage.source().brands().by_name["house"].digest == new.digest
    assert {path.name for path in stage.folder.iterdir()} == {"guests.yaml", "house.yaml", "marks"}
    assert source.put(registries.registry(brand("orvantis", shade=3), name="fresh").message) == []
    assert (stage.folder / "fresh.json").exists()


def test_what_is_put_beside_a_spoiled_folder_says_so(stage: Stage) -> None:
    """Somebody made another registry overlap with it in the meantime: it is written, and not in force."""
    source = stage.source()
    stage.write("guests", brand("vellitor", shade=6))
    told = source.put(registries.registry(brand("vellitor", shade=2), version="2").message)
    assert "written, but not in force" in told[0]
    assert "it is the id of brand vellitor of guests" in told[0]
    assert source.brands().by_name["house"].title == "house@1"


def test_looking_is_done_in_a_thread_unless_told_otherwise(stage: Stage) -> None:
    """As in a gateway."""
    source = FolderBrandSource(stage.folder, lambda: stage.now)
    stage.write("house", brand(), version="2")
    stage.now = 1.0
    for _ in range(1000):
        if source.brands().by_name["house"].message.version == "2":
            return
        time.sleep(0.005)
    raise AssertionError("the change was not taken up")
