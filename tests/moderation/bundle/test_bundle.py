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


def _renamed(folder: Path) -> None:
    (folder / "config.json").rename(folder / "settings.json")


def test_renaming_a_file_changes_the_bundle_digest(folder: Path) -> None:
    """Names count, not only contents."""
    before = Bundle.load(folder).digest
    _renamed(folder)
    assert Bundle.load(folder).digest != before


def _drop_weights(folder: Path) -> None:
    for path in folder.glob("*.safetensors"):
        path.unlink()


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
    "capability not listed": (lambda f: edit(f, lambda d: d.update(capabilities=[])), "prohibited_ads"),
    "pixel budget upside down": (
        lambda f: edit(f, lambda d: d.update(pixels={"min_pixels": 9, "max_pixels": 4})),
        "min_pixels",
    ),
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


def test_the_embedded_library_names_all_eight_attributes_in_order() -> None:
    """What it cannot see is there too, as `unknown` alone."""
    manifest = Manifest.model_validate(library.manifest("0" * 64, {}))
    assert tuple(manifest.attributes) == ATTRIBUTES
    assert manifest.attributes["material"] == ("unknown",)
    assert len(manifest.attributes["category"]) == 18
