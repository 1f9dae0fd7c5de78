"""The demo's images are what their generator draws, small, and listed with what is expected of each."""

import io
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ostiary.demo import DemoImage, demo_images

GENERATOR = Path(__file__).resolve().parents[2] / "proto/demo_images.py"
NOT_DECODABLE = {"truncated.jpg", "bomb.png"}
IMAGES = demo_images()


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("demo-images")
    subprocess.run([sys.executable, str(GENERATOR), str(out)], check=True, capture_output=True)
    return out


def test_same_files(drawn: Path) -> None:
    """The generator, the shipped folder and the manifest name the same files."""
    shipped = {entry.name for entry in (files("ostiary.demo") / "images").iterdir()}
    assert shipped == {path.name for path in drawn.iterdir()} == {image.file for image in IMAGES}


@pytest.mark.parametrize("image", IMAGES, ids=lambda image: image.file)
def test_drawn_again(drawn: Path, image: DemoImage) -> None:
    """Each shipped image shows what the generator draws today (pixels: codecs differ in their bytes)."""
    again = (drawn / image.file).read_bytes()
    if image.file in NOT_DECODABLE:
        assert abs(len(again) - len(image.read())) < 64
        return
    with Image.open(io.BytesIO(again)) as new, Image.open(io.BytesIO(image.read())) as shipped:
        assert (new.mode, new.size) == (shipped.mode, shipped.size)
        difference = np.abs(np.asarray(new, dtype=np.int16) - np.asarray(shipped, dtype=np.int16))
    assert difference.mean() < 1.0


@pytest.mark.parametrize("name", sorted(NOT_DECODABLE))
def test_broken_on_purpose(name: str) -> None:
    """The two images that must end in HOLD cannot be decoded."""
    image = next(image for image in IMAGES if image.file == name)
    with pytest.raises((OSError, Image.DecompressionBombError)), Image.open(io.BytesIO(image.read())) as file:
        file.load()
    assert image.expected == ("HOLD",)


def test_small_enough_to_ship() -> None:
    """All images together stay below 1.5 MB."""
    assert sum(len(image.read()) for image in IMAGES) < 1_500_000
