"""`ostiary pod hash`: what hash lists know images by."""

import json
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from cli.command import ostiary
from ostiary.demo import demo_images
from ostiary_moderation.hashing import FileHashes, hash_files


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """A photograph, an animation of two frames, and a file that is no image."""
    photo, animation, text = tmp_path / "coffee.jpg", tmp_path / "two.gif", tmp_path / "notes.txt"
    (data,) = (image.read() for image in demo_images() if image.file == "coffee.jpg")
    photo.write_bytes(data)
    with Image.open(BytesIO(data)) as image:
        small = image.resize((120, 80))
    small.save(animation, save_all=True, append_images=[small.transpose(Image.Transpose.FLIP_LEFT_RIGHT)])
    text.write_text("no image")
    return [photo, animation, text]


async def test_every_frame_is_hashed(files: list[Path]) -> None:
    """As a check sees it: the canonical pixels of each frame, and both SHA-256."""
    found: list[FileHashes] = [hashes async for hashes in hash_files(files)]
    assert [len(hashes.frames) for hashes in found] == [1, 2, 0]
    assert [bool(hashes.fault) for hashes in found] == [False, False, True]
    assert all(len(hashes.sha256) == len(hashes.raw_sha256) == 32 for hashes in found[:2])
    first, second = found[1].frames
    assert first.hash != second.hash
    assert first.quality >= 50


async def test_programs_get_an_object_a_line(files: list[Path]) -> None:
    """Exit code 1, for one of them is no image; the others are told all the same."""
    done = await ostiary("pod", "hash", "--json", *files)
    assert done.code == 1
    photo, _, text = (json.loads(line) for line in done.out.splitlines())
    assert photo["pdq"][0]["quality"] == 100
    assert "unsupported_format" in text["error"]


async def test_lists_get_entries(files: list[Path]) -> None:
    """CSV as `ostiary lists import` takes it."""
    done = await ostiary("pod", "hash", "--csv", "pdq", *files[:2])
    assert done.code == 0
    header, *entries = done.out.splitlines()
    assert header == "hash,note"
    assert [entry.split(",")[1] for entry in entries] == ["coffee.jpg", "two.gif", "two.gif"]
