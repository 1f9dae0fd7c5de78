"""Bundles: what loads, what is measured, and what is refused with which words."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from ostiary_moderation.bundle import ATTRIBUTES, Bundle, BundleError, Calibration, Manifest, PrecisionPoint
from ostiary_moderation.training import library


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Changes the manifest of a bundle folder."""
    path = folder / "bundle.yaml"
    data = yaml.safe_load(path.read_text("utf-8"))
    change(data)
    path.write_text(yaml.safe_dump(data, allow_unicode=True), "utf-8")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A bundle folder that is sound as far as the manifest and the digests go."""
    save_file({"w": np.arange(6, dtype=np.float32)}, tmp_path / "model-2.safetensors")
    save_file({"v": np.ones(3, dtype=np.float32)}, tmp_path / "model-1.safetensors")
    both = (tmp_path / "model-1.safetensors").read_bytes() + (tmp_path / "model-2.safetensors").read_bytes()
    manifest = library.manifest(hashlib.sha256(both).hexdigest(), {})
    (tmp_path / "bundle.yaml").write_text(yaml.safe_dump(manifest, allow_unicode=True), "utf-8")
    (tmp_path / "config.json").write_text("{}", "utf-8")
    (tmp_path / "tokenizer.json").write_text("{}", "utf-8")
    (tmp_path / "tokenizer_config.json").write_text("{}", "utf-8")
    (tmp_path / "chat_template.jinja").write_text("{{ messages }}", "utf-8")
    settings = json.dumps({"patch_size": 16, "merge_size": 2})
    (tmp_path / "preprocessor_config.json").write_text(settings, "utf-8")
    return tmp_path


def test_weights_digest_is_the_sha256_of_the_files_in_name_order(folder: Path) -> None:
    """The measured digest is what `cat *.safetensors | sha256sum` says."""
    both = b"".join((folder / f"model-{n}.safetensors").read_bytes() for n in (1, 2))
    assert Bundle.load(folder).weights_digest == hashlib.sha256(both).digest()


@pytest.mark.parametrize("name", ["config.json", "bundle.yaml", "extra/notes.txt"])
def test_any_file_changes_the_bundle_digest(folder: Path, name: str) -> None:
    """A byte more in any file, new ones and the manifest included, is another bundle."""
    before = Bundle.load(folder).digest
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    with path.open("a", encoding="utf-8") as stream:
        stream.write("\n")
    after = Bundle.load(folder)
    assert len(after.digest) == 32
    assert after.digest != before


def test_renaming_a_file_changes_the_bundle_digest(folder: Path) -> None:
    """Names count, not only contents."""
    (folder / "a.txt").write_text("notes", "utf-8")
    before = Bundle.load(folder).digest
    (folder / "a.txt").rename(folder / "b.txt")
    assert Bundle.load(folder).digest != before


def _drop_weights(folder: Path) -> None:
    for path in folder.glob("*.safetensors"):
        path.unlink()


def _index(folder: Path, *shards: str) -> None:
    names = {f"layer.{number}": shard for number, shard in enumerate(shards)}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}), "utf-8")


def _closer(**settings: float) -> Callable[[Path], object]:
    return lambda folder: edit(folder, lambda data: data["pixels"].update(closer=settings))


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "no manifest": (lambda f: (f / "bundle.yaml").unlink(), "bundle.yaml: missing"),
    "not yaml": (lambda f: (f / "bundle.yaml").write_text("a: [", "utf-8"), "not YAML"),
    "empty manifest": (lambda f: (f / "bundle.yaml").write_text("", "utf-8"), "bundle.yaml"),
    "unknown field": (lambda f: edit(f, lambda d: d.update(speed=3)), "speed: Extra inputs"),
    "unknown engine": (lambda f: edit(f, lambda d: d.update(engine="llava")), "engine"),
    "unknown dtype": (lambda f: edit(f, lambda d: d.update(dtype="float8")), "dtype"),
    "no weights": (_drop_weights, "no *.safetensors"),
    "pickled weights": (lambda f: (f / "pytorch_model.bin").write_bytes(b"\x80\x04."), "convert pickled"),
    "checkpoint": (lambda f: (f / "model.pt").write_bytes(b"PK"), "data only"),
    "python file": (lambda f: (f / "modeling.py").write_text("", "utf-8"), "remove code"),
    "remote code": (
        lambda f: (f / "config.json").write_text(json.dumps({"auto_map": {"AutoModel": "m.M"}}), "utf-8"),
        "remote code",
    ),
    "no config": (lambda f: (f / "config.json").unlink(), "config.json: missing; copy it"),
    "config not json": (lambda f: (f / "config.json").write_text("{", "utf-8"), "config.json: not JSON"),
    "config a list": (lambda f: (f / "config.json").write_text("[]", "utf-8"), "holds no JSON object"),
    "no tokenizer": (lambda f: (f / "tokenizer.json").unlink(), "tokenizer.json: missing; copy it"),
    "no tokenizer config": (
        lambda f: (f / "tokenizer_config.json").unlink(),
        "tokenizer_config.json: missing",
    ),
    "no processor": (
        lambda f: (f / "preprocessor_config.json").unlink(),
        "preprocessor_config.json: missing",
    ),
    "no patch size": (
        lambda f: (f / "preprocessor_config.json").write_text('{"merge_size": 2}', "utf-8"),
        "preprocessor_config.json: patch_size",
    ),
    "no chat template": (lambda f: (f / "chat_template.jinja").unlink(), "chat_template.jinja: missing"),
    "shard missing": (
        lambda f: _index(f, "model-1.safetensors", "model-3.safetensors"),
        "model-3.safetensors",
    ),
    "shard too many": (lambda f: _index(f, "model-1.safetensors"), "model-2.safetensors: not named"),
    "index without map": (
        lambda f: (f / "model.safetensors.index.json").write_text("{}", "utf-8"),
        "index.json: no weight_map",
    ),
    "other weights": (lambda f: (f / "model-1.safetensors").write_bytes(b"x"), "SHA-256"),
    "attribute missing": (
        lambda f: edit(f, lambda d: d["attributes"].pop("style")),
        "attributes: give exactly",
    ),
    "no unknown": (lambda f: edit(f, lambda d: d["attributes"].update(style=["plain"])), "attributes.style"),
    "too many options": (
        lambda f: edit(f, lambda d: d["attributes"].update(style=["unknown", *map(str, range(26))])),
        "at most 26",
    ),
    "twice the same question": (
        lambda f: edit(f, lambda d: d["questions"].append(d["questions"][0])),
        "same id",
    ),
    "twice the same detector": (
        lambda f: edit(
            f, lambda d: d.update(detectors=[{"name": "ocr"}, {"name": "hashes"}, {"name": "ocr"}])
        ),
        "detectors: ocr stands there twice",
    ),
    "capability not listed": (lambda f: edit(f, lambda d: d.update(capabilities=[])), "prohibited_ads"),
    "pixel budget upside down": (
        lambda f: edit(f, lambda d: d.update(pixels={"min_pixels": 9, "max_pixels": 4})),
        "min_pixels",
    ),
    "pixels below a token": (
        lambda f: edit(f, lambda d: d.update(pixels={"min_pixels": 1, "max_pixels": 1023})),
        "give at least 1024",
    ),
    "closer look no closer": (_closer(min_pixels=1, max_pixels=60_000), "closer.max_pixels must be above"),
    "closer look upside down": (_closer(min_pixels=9e5, max_pixels=8e5), "pixels.closer: "),
    "closer look never": (_closer(min_pixels=1, max_pixels=9e5, low=0.8, high=0.2), "low is above high"),
    "language without a prompt": (
        lambda f: edit(f, lambda d: d["description"].update(languages=["en", "fr"])),
        "prompts.describe.general has no fr",
    ),
    "no description prompt for the rest": (
        lambda f: edit(f, lambda d: d["prompts"].update(describe={"shoes": {"en": "Describe the shoes."}})),
        "add 'general'",
    ),
    "floor of nothing": (
        lambda f: edit(f, lambda d: d.update(attribute_floor={"brand": 0.5})),
        "attribute_floor: brand",
    ),
    "calibration of nothing": (
        lambda f: edit(f, lambda d: d.update(attribute_calibration={"brand": {"slope": 1.0}})),
        "attribute_calibration: brand",
    ),
    "calibration of a value that is none": (
        lambda f: edit(f, lambda d: d.update(attribute_calibration={"colour": {"biases": {"mauve": 1.0}}})),
        "attribute_calibration.colour.biases: mauve",
    ),
    "empty text": (lambda f: edit(f, lambda d: d["prompts"].update(system={"en": ""})), "prompts.system.en"),
    "no room to decode": (lambda f: edit(f, lambda d: d.update(batching={"max_sequences": 0})), "batching"),
    "too hot": (lambda f: edit(f, lambda d: d["description"].update(temperature=3)), "temperature"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_bundle_is_refused_in_words(folder: Path, fault: str) -> None:
    """Each fault names the file or field."""
    damage, words = FAULTS[fault]
    damage(folder)
    with pytest.raises(BundleError) as caught:
        Bundle.load(folder)
    assert words in str(caught.value)


def test_a_missing_folder_is_refused_in_words(tmp_path: Path) -> None:
    """The error names what was asked for and which names are shipped."""
    with pytest.raises(BundleError, match="no such bundle folder"):
        Bundle.load(tmp_path / "nothing")


TABLE = (
    PrecisionPoint(precision=0.9, threshold=0.4, recall=0.8),
    PrecisionPoint(precision=0.97, threshold=0.7, recall=0.5),
)


@pytest.mark.parametrize(
    ("precision", "threshold"), [(0.5, 0.4), (0.9, 0.4), (0.95, 0.7), (0.97, 0.7), (0.98, None)]
)
def test_threshold_is_the_lowest_that_reaches_the_precision(
    precision: float, threshold: float | None
) -> None:
    """A precision between two rows takes the stricter one; one beyond the last has no threshold."""
    assert Calibration(table=TABLE).threshold(precision) == threshold


def test_threshold_of_a_question_that_is_not_there_is_an_error(folder: Path) -> None:
    """A misspelt question must not look like one that never fires."""
    bundle = Bundle.load(folder)
    assert bundle.threshold("qr_code", 0.97) is None
    with pytest.raises(KeyError):
        bundle.threshold("qr_kode", 0.97)


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6), st.floats(0.01, 10), st.floats(-10, 10))
def test_probability_rises_with_the_margin(a: float, b: float, slope: float, intercept: float) -> None:
    """Calibration may stretch and shift, never reorder, and stays a probability."""
    calibration = Calibration(slope=slope, intercept=intercept)
    low, high = sorted((a, b))
    assert 0.0 <= calibration.probability(low) <= calibration.probability(high) <= 1.0


@pytest.mark.parametrize(
    ("category", "language", "expected"),
    [
        ("shoes", "zh", "鞋"),
        ("shoes", "zh-CN", "鞋"),
        ("shoes", "fr", "shoe"),
        ("home", "zh", "thing"),
        ("", "en", "thing"),
    ],
)
def test_wording_falls_back_to_general_and_to_english(category: str, language: str, expected: str) -> None:
    """Category first, then language; what is not there is asked in the general way, in English."""
    data = library.manifest("0" * 64, {})
    text = {"general": {"en": "thing"}, "shoes": {"en": "shoe", "zh": "鞋"}}
    question = {**data["questions"][0], "text": text}
    manifest = Manifest.model_validate({**data, "questions": [question]})
    assert manifest.questions[0].wording(category, language) == expected


CATEGORIES = {
    "by its own name": ("Shoes", "shoes"),
    "by a word": ("sneakers", "shoes"),
    "by the end of a path": ("Women > Shoes > T-Shirts", "apparel"),
    "in Chinese, inside a longer word": ("男士运动鞋", "shoes"),
    "by the longer word": ("手机壳", "digital"),
    "not inside another word": ("showcase", "general"),
    "unheard of": ("Grand pianos", "general"),
    "nothing": ("", "general"),
}


@pytest.mark.parametrize("case", CATEGORIES)
def test_listing_categories_find_their_prompts(case: str) -> None:
    """Sellers' words for categories become one of the bundle's prompt categories."""
    listing, expected = CATEGORIES[case]
    words = {
        "shoes": ("sneakers", "鞋"),
        "apparel": ("t-shirts", "壳", "case"),
        "digital": ("手机壳",),
    }
    data = library.manifest("0" * 64, {})
    manifest = Manifest.model_validate({**data, "prompts": {**data["prompts"], "categories": words}})
    assert manifest.prompts.category_of(listing) == expected


@pytest.mark.parametrize(
    ("category", "language", "expected"),
    [("shoes", "en", "shoe"), ("shoes", "zh", "物"), ("shoes", "zh-CN", "物"), ("home", "en", "thing")],
)
def test_a_description_is_asked_for_in_its_language_first(
    category: str, language: str, expected: str
) -> None:
    """Where a category lacks a language, the general prompt in that language counts for more."""
    data = library.manifest("0" * 64, {})
    describe = {"general": {"en": "thing", "zh": "物"}, "shoes": {"en": "shoe"}}
    manifest = Manifest.model_validate({**data, "prompts": {**data["prompts"], "describe": describe}})
    assert manifest.prompts.describe_in(language, category) == expected


def test_views_are_cut_as_the_image_processor_says(folder: Path) -> None:
    """Cells of patch times merge; budgets of the manifest; a closer look where it has one."""
    data = {"min_pixels": 300_000, "max_pixels": 500_000}
    edit(folder, lambda manifest: manifest["pixels"].update(closer=data))
    spec = Bundle.load(folder).view_spec
    pixels = library.manifest("", {})["pixels"]
    assert spec.cell == 32
    assert (spec.first.min_pixels, spec.first.max_pixels) == (pixels["min_pixels"], pixels["max_pixels"])
    assert spec.closer is not None
    assert (spec.closer.min_pixels, spec.closer.max_pixels) == (300_000, 500_000)


def test_the_embedded_library_names_all_eight_attributes_in_order() -> None:
    """What it cannot see is there too, as `unknown` alone."""
    manifest = Manifest.model_validate(library.manifest("0" * 64, {}))
    assert tuple(manifest.attributes) == ATTRIBUTES
    assert manifest.attributes["material"] == ("unknown",)
