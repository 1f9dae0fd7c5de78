"""Photographs, their labels, and what is told when these are missing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ostiary_moderation.evaluation.photos import (
    held_out_senders,
    of_senders,
    open_upright,
    read_labelled,
)

INDEX = "file,label,kids,sender\na.png,dress,False,7\nb.png,hat,True,8\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two photographs with labels, and the colour of one."""
    for name in ("a.png", "b.png"):
        Image.new("RGB", (4, 4)).save(tmp_path / name)
    (tmp_path / "labels.csv").write_text(INDEX, "utf-8")
    (tmp_path / "colours.csv").write_text("file,colour,pattern\nb.png,red,\n", "utf-8")
    return tmp_path


def test_columns_become_attributes(folder: Path) -> None:
    """Label is the category, kids the audience; a second file adds colours; an empty cell is not known."""
    first, second = read_labelled(folder, folder / "colours.csv")
    assert (first.sender, first.labels) == ("7", {"category": "dress", "audience": "adults"})
    assert second.labels == {"category": "hat", "audience": "kids", "colour": "red"}


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "no index": (lambda f: (f / "labels.csv").unlink(), "labels.csv: missing"),
    "no file column": (lambda f: (f / "labels.csv").write_text("label\ndress\n"), "no column file"),
    "a photo that is not there": (lambda f: (f / "a.png").unlink(), "a.png is not there"),
    "no colours": (lambda f: (f / "colours.csv").unlink(), "colours.csv: missing"),
    "colours of another folder": (
        lambda f: (f / "colours.csv").write_text("file,colour\nz.png,red\n"),
        "z.png is not in",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_told_in_words(folder: Path, fault: str) -> None:
    """Each names the file."""
    damage, words = FAULTS[fault]
    damage(folder)
    with pytest.raises(ValueError, match=words):
        read_labelled(folder, folder / "colours.csv")


def test_a_bundle_says_whom_it_never_saw(folder: Path) -> None:
    """Only their photographs are left; none of them is an error."""
    photos = read_labelled(folder)
    (folder / "evaluation.json").write_text(json.dumps({"held_out_senders": ["8"]}), "utf-8")
    assert [photo.file for photo in of_senders(photos, held_out_senders(folder))] == ["b.png"]
    with pytest.raises(ValueError, match="no photograph"):
        of_senders(photos, {"9"})


@pytest.mark.parametrize("content", [None, "{", "{}"])
def test_a_bundle_that_does_not_say_is_an_error(folder: Path, content: str | None) -> None:
    """Rather than measuring on what it may have learnt."""
    if content is not None:
        (folder / "evaluation.json").write_text(content, "utf-8")
    with pytest.raises(ValueError, match="--senders all"):
        held_out_senders(folder)


def test_photographs_are_turned_as_the_camera_says(tmp_path: Path) -> None:
    """A pod turns them, so an evaluation must."""
    image = Image.new("RGB", (20, 10), (255, 0, 0))
    exif = image.getexif()
    exif[0x0112] = 6  # a quarter turn
    image.save(tmp_path / "a.jpg", exif=exif)
    assert open_upright(tmp_path / "a.jpg").shape == (20, 10, 3)
    assert open_upright(tmp_path / "a.jpg").dtype == np.uint8
