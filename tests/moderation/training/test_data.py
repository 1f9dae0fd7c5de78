"""What is learnt from: the split by sender, the colour labels, the words, and the scenes."""

from __future__ import annotations

import itertools
import random
import re
from pathlib import Path

import numpy as np
import pytest
import zxingcpp
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from PIL import Image

from ostiary_moderation.bundle import UNKNOWN, Manifest
from ostiary_moderation.engines.qwen3_vl.processor import ImageOnlyProcessor
from ostiary_moderation.training import drawing, library, wording
from ostiary_moderation.training.architecture import build_image_processor
from ostiary_moderation.training.curriculum import Curriculum
from ostiary_moderation.training.describing import describe
from ostiary_moderation.training.feed import (
    CLOSE_UP,
    NONE,
    WHOLE,
    Showing,
    draw_batch,
    feeding,
    sampling_weights,
)
from ostiary_moderation.training.gallery import LABELS
from ostiary_moderation.training.library import MAX_PIXELS, MIN_PIXELS
from ostiary_moderation.training.photos import Photo, read_photos, split_by_sender
from ostiary_moderation.training.products import draw_product, shade
from ostiary_moderation.training.scenes import CLEAN, HELD_OUT, KINDS, Recipe, make_scene
from ostiary_moderation.training.tokenizer import build_tokenizer


@pytest.fixture
def photo(tmp_path: Path) -> Photo:
    """A grey wall with a blue garment on it."""
    pixels = np.full((400, 300, 3), 190, np.uint8)
    pixels[80:320, 60:240] = (40, 70, 200)
    path = tmp_path / "photo.png"
    Image.fromarray(pixels).save(path)
    return Photo(path, "dress", "blue", "plain", "adults", "7")


@given(st.lists(st.integers(0, 30), min_size=3, max_size=300))
def test_no_sender_is_in_two_parts(senders: list[int]) -> None:
    """Every photo is in exactly one part, and so is every sender."""
    photos = tuple(
        Photo(Path(str(i)), "dress", "blue", "plain", "adults", str(s)) for i, s in enumerate(senders)
    )
    try:
        split = split_by_sender(photos)
    except ValueError:
        assume(False)
    parts = [split.train, split.calibration, split.test]
    assert sorted(p.path for part in parts for p in part) == sorted(p.path for p in photos)
    names = [{p.sender for p in part} for part in parts]
    assert sum(map(len, names)) == len(set().union(*names))


def test_the_split_holds_two_groups_out() -> None:
    """With many senders, both held-out groups get something and training keeps most."""
    photos = tuple(Photo(Path(str(i)), "dress", "blue", "plain", "adults", str(i % 40)) for i in range(400))
    split = split_by_sender(photos)
    assert len(split.train) > 280
    assert len(split.test) >= 52
    assert len(split.calibration) >= 28


@pytest.mark.parametrize(
    ("labels", "colours", "words"),
    [
        (None, "a.jpg,blue,plain", "labels.csv: missing"),
        ("a.jpg,dress,False,1", None, "colours.csv: missing"),
        ("a.jpg,sofa,False,1", "a.jpg,blue,plain", "unknown label 'sofa'"),
        ("a.jpg,dress,False,1", "a.jpg,khaki,plain", "unknown label 'khaki'"),
        ("a.jpg,dress,False,1", "b.jpg,blue,plain", "a.jpg: its colour and pattern are missing"),
        ("a.jpg,dress,False,1", "a.jpg,blue,camouflage", "three senders"),
    ],
)
def test_odd_labels_are_refused_in_words(
    tmp_path: Path, labels: str | None, colours: str | None, words: str
) -> None:
    """Before any time is spent on training."""
    for name, head, row in (
        ("labels.csv", "file,label,kids,sender", labels),
        ("colours.csv", "file,colour,pattern", colours),
    ):
        if row is not None:
            (tmp_path / name).write_text(f"{head}\n{row}\n", "utf-8")
    with pytest.raises(ValueError, match=words):
        read_photos(tmp_path, tmp_path / "colours.csv")


@given(st.integers(0, 10**6))
def test_contact_lines_tell_how_to_reach_somebody(seed: int) -> None:
    """Each holds a number of at least five digits, an address, or a named chat account."""
    text = "\n".join(wording.contact_lines(random.Random(seed)))
    digits = sum(character.isdigit() for character in text)
    assert digits >= 5 or re.search(r"[@./]|[：: ]\S{3,}", text)


@given(st.integers(0, 10**6))
def test_notes_and_prints_tell_nobody_how_to_reach_anybody(seed: int) -> None:
    """The hard negatives hold no address and no number as long as a telephone's."""
    rng = random.Random(seed)
    text = "\n".join([*wording.note_lines(rng), *wording.garment_lines(rng)])
    assert "@" not in text
    assert not re.search(r"\d{5,}|www|http|微信|QQ|WhatsApp|电话", text)


def test_drawn_qr_codes_scan() -> None:
    """They are real codes: the reader that serving uses reads nearly all of them before they are pasted."""
    rng = random.Random(1)
    read = [zxingcpp.read_barcodes(np.asarray(drawing.qr_code(rng).convert("RGB"))) for _ in range(40)]
    assert sum(any(code.format == zxingcpp.BarcodeFormat.QRCode for code in codes) for codes in read) >= 36


def test_lookalikes_do_not_scan() -> None:
    """A negative that scanned as a QR code would teach the wrong answer."""
    rng = random.Random(1)
    for _ in range(40):
        codes = zxingcpp.read_barcodes(np.asarray(drawing.lookalike(rng).convert("RGB")))
        assert not any(code.format == zxingcpp.BarcodeFormat.QRCode for code in codes)


@pytest.mark.parametrize("kind", ["qr_code", "contact_details"])
def test_a_scene_says_what_was_drawn_and_where(photo: Photo, kind: str) -> None:
    """Where the mask is set the picture differs from the photograph; elsewhere it does not."""
    recipe = Recipe(
        **{**dict.fromkeys(("qr_code", "contact_details", "note", "garment", "lookalike"), 0), kind: 1}
    )
    scene = make_scene(random.Random(4), photo, Recipe(**{**vars(recipe), "vary": False}))
    assert [name for name in KINDS if scene.has(name)] == [kind]
    with Image.open(photo.path) as image:
        changed = (np.asarray(image) != np.asarray(scene.image)).any(axis=2)
    mask = scene.coverage[kind]
    assert mask.any()
    assert changed[mask].mean() > 0.5
    assert changed[~mask].mean() < 0.02
    assert scene.cover(9, 7)[:, KINDS.index(kind)].any()


def test_a_clean_scene_is_the_photograph(photo: Photo) -> None:
    """Nothing is drawn, nothing is varied."""
    scene = make_scene(random.Random(4), photo, CLEAN)
    with Image.open(photo.path) as image:
        np.testing.assert_array_equal(np.asarray(scene.image), np.asarray(image.convert("RGB")))
    assert not any(scene.has(kind) for kind in KINDS)


@pytest.mark.parametrize("showing", ["close-ups", "small", "whole"])
def test_batches_are_the_same_for_the_same_seed(photo: Photo, showing: Showing) -> None:
    """So that a resumed run goes on where it stopped; another number or seed gives another batch."""
    weights = sampling_weights([photo])
    first, again, other = (draw_batch(seed, 3, [photo], weights, 2, showing) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.pixels, again.pixels)
    assert first.pixels.shape != other.pixels.shape or (first.pixels != other.pixels).any()
    assert first.pixels.shape[1:3] == (first.grid[0] * 32, first.grid[1] * 32)
    assert first.cover.shape == (2, first.grid[0] * first.grid[1], len(KINDS))
    assert (first.grid == CLOSE_UP) == (showing == "close-ups")
    assert (first.grid in WHOLE) == (showing == "whole")


@given(st.integers(0, 10**6))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_pictures_differ_from_clean_ones_where_they_are_covered(photo: Photo, seed: int) -> None:
    """Close-ups cut picture, clean picture and cover out of the same place."""
    batch = draw_batch(seed, 0, [photo], [1.0], 1, "close-ups")
    rows, columns = batch.grid
    cells = (
        (batch.pixels[0] != batch.clean[0]).reshape(rows, 32, columns, 32, 3).any(axis=(1, 3, 4)).reshape(-1)
    )
    assert cells[batch.cover[0].any(axis=1)].all()


def test_training_grids_lie_inside_the_pixel_budget() -> None:
    """Training ends with the sizes that serving will make."""
    assert all(MIN_PIXELS <= rows * columns * 1024 <= MAX_PIXELS for rows, columns in WHOLE)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_label_has_its_sentence(language: str) -> None:
    """All combinations of labels make different sentences."""
    every = [describe(language, *labels) for labels in itertools.product(*LABELS.values())]
    assert len(set(every)) == len(every)


@pytest.mark.parametrize(
    ("language", "sentence"), [("en", "A blue product."), ("zh", "一件蓝色商品。")], ids=["en", "zh"]
)
def test_a_product_of_another_kind_has_its_sentence(language: str, sentence: str) -> None:
    """Of what is unknown nothing is said."""
    assert describe(language, UNKNOWN, "blue", "plain", UNKNOWN) == sentence


@pytest.mark.parametrize("seed", range(16))
def test_drawn_products_are_no_clothes_of_a_named_colour(seed: int) -> None:
    """The same for the same seed; kind and audience unknown; a good part of the picture has the colour."""
    photo, image = draw_product(random.Random(seed), (200, 260))
    _, again = draw_product(random.Random(seed), (200, 260))
    assert image.size == (200, 260)
    np.testing.assert_array_equal(np.asarray(image), np.asarray(again))
    assert (photo.category, photo.audience) == (UNKNOWN, UNKNOWN)
    shades = np.array([shade(random.Random(index), photo.colour) for index in range(60)])
    apart = np.abs(np.asarray(image).reshape(-1, 1, 3).astype(int) - shades).sum(axis=2).min(axis=1)
    assert (apart < 90).mean() > 0.03


def test_unknown_labels_are_learnt_as_unknown(photo: Photo) -> None:
    """A scene with another product has no true value; its answer is the letter of `unknown`."""
    index = next(
        i for i in range(200) if NONE in draw_batch(0, i, [photo], [1.0], 2, "whole").labels["category"]
    )
    batch = draw_batch(0, index, [photo], [1.0], 2, "whole")
    row = int(np.argmin(batch.labels["category"]))
    manifest = Manifest.model_validate(library.manifest("0" * 64, {}))
    tokenizer = build_tokenizer(manifest, 0)
    processor = ImageOnlyProcessor(build_image_processor(MIN_PIXELS, MAX_PIXELS), tokenizer)
    pack = Curriculum(manifest, processor, 0).pack(batch)
    letter = chr(ord("A") + manifest.attributes["category"].index(UNKNOWN))
    assert processor.single(letter) in pack.targets[row]


def test_held_out_scenes_keep_the_photograph_as_it_is(photo: Photo) -> None:
    """Measuring draws overlays and leaves flips, tilts and crops to training."""
    assert make_scene(random.Random(1), photo, HELD_OUT).image.size == (300, 400)


def test_a_dead_drawing_process_is_an_error(tmp_path: Path) -> None:
    """A photograph that cannot be read ends the process that draws, and the trainer is told."""
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    broken = Photo(tmp_path / "broken.jpg", "dress", "blue", "plain", "adults", "1")
    with feeding(0, 0, [broken], 1, "small") as batches, pytest.raises(RuntimeError, match="ended"):
        next(batches)
