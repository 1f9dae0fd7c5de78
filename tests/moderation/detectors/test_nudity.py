"""The nudity detector: what its labels mean, that nobody gets it unasked, and what it leaves alone."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import structlog
import yaml
from numpy.typing import NDArray
from PIL import Image
from pydantic import ValidationError
from typer.testing import CliRunner

import photographs
from moderation.detectors.nudenet_model import require_nudenet
from ostiary.v1.observation_pb2 import PolicyScore
from ostiary_moderation.bundle import Bundle
from ostiary_moderation.cli.model import app
from ostiary_moderation.detector import DecodedImage, Detector, load_detectors
from ostiary_moderation.detectors.body_parts import Part, PartsModel
from ostiary_moderation.detectors.nudity import NudityDetector, NuditySettings, model_file, speaking

Pixels = NDArray[np.uint8]
BOX = (0.0, 0.0, 10.0, 10.0)
LABELS = ("explicit", "partial", "suggestive", "underwear_swimwear")
PARTS_THAT_SPEAK = (
    "female_breast_exposed",
    "female_genitalia_exposed",
    "male_genitalia_exposed",
    "anus_exposed",
    "buttocks_exposed",
    "anus_covered",
    "female_breast_covered",
    "female_genitalia_covered",
    "buttocks_covered",
    "belly_exposed",
)


def part(name: str, confidence: float = 0.8) -> Part:
    return Part(name, confidence, BOX)


@pytest.mark.parametrize(
    ("seen", "labels"),
    [
        (["female_breast_exposed"], {"explicit"}),
        (["female_genitalia_exposed", "buttocks_exposed"], {"explicit", "partial"}),
        (["male_genitalia_exposed"], {"explicit"}),
        (["anus_exposed"], {"explicit"}),
        (["buttocks_exposed"], {"partial"}),
        (["anus_covered"], {"suggestive"}),
        (["female_breast_covered", "belly_exposed"], {"underwear_swimwear"}),
        (["female_genitalia_covered", "belly_exposed"], {"underwear_swimwear"}),
        (["buttocks_covered", "belly_exposed"], {"underwear_swimwear"}),
        (["female_breast_covered"], set()),
        (["buttocks_covered", "belly_covered"], set()),
        (["belly_exposed"], set()),
        (["male_breast_exposed", "belly_exposed"], set()),
        (["face_female", "face_male", "feet_exposed", "armpits_exposed"], set()),
        ([], set()),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, list) else None,
)
def test_what_parts_speak_for(seen: list[str], labels: set[str]) -> None:
    """Bare parts for nudity, covered ones beside a bare belly for underwear, all others for nothing."""
    assert {label for label, _ in speaking([part(name) for name in seen])} == labels


def test_underwear_is_no_surer_than_either_of_its_signs() -> None:
    """And stands where the covered part does."""
    covered = Part("female_breast_covered", 0.9, (1, 2, 3, 4))
    [(_, found)] = speaking([covered, part("belly_exposed", 0.4), part("buttocks_covered", 0.5)])
    assert found == Part("female_breast_covered", 0.4, (1, 2, 3, 4))


def test_the_surest_of_each_part_counts() -> None:
    """Two of a kind are one finding."""
    [(label, found)] = speaking([part("buttocks_exposed", 0.3), part("buttocks_exposed", 0.7)])
    assert (label, found.confidence) == ("partial", 0.7)


@pytest.mark.parametrize(
    "settings",
    [
        {"min_confidence": 0},
        {"min_confidence": 1},
        {"threshold": 0.5},
        {"calibration": {"naked": {}}},
        {"calibration": {"explicit": {"slope": 0}}},
    ],
    ids=["everything", "nothing", "unknown", "another label", "a flat curve"],
)
def test_bad_settings_are_refused(settings: dict[str, object]) -> None:
    """A misspelt setting does not go unnoticed."""
    with pytest.raises(ValidationError):
        NuditySettings.model_validate(settings)


def test_nothing_imports_the_package_unasked() -> None:
    """Every module of the pod, every other detector and the shipped bundle do without it, here or not."""
    program = """
import pkgutil, sys
import ostiary_moderation
from ostiary_moderation.bundle import Bundle
from ostiary_moderation.detector import load_detectors
for module in pkgutil.walk_packages(ostiary_moderation.__path__, "ostiary_moderation."):
    __import__(module.name)
for name in ("mini", "mini-prev"):
    wanted = [(each.name, each.settings) for each in Bundle.load(name).manifest.detectors]
    assert "nudity" not in dict(wanted)
    load_detectors(wanted, 1)
assert "nudenet" not in sys.modules, "nudenet was imported"
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=110)


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """And under which licence that comes."""
    monkeypatch.setattr("ostiary_moderation.detectors.nudity.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pip install 'ostiary\[nudenet\]', if AGPL-3.0 suits you"):
        NudityDetector({}, 1)


@pytest.fixture(scope="module")
def detector() -> NudityDetector:
    require_nudenet()
    return NudityDetector({}, 1)


def scores(detector: Detector, pixels: Pixels) -> list[PolicyScore]:
    return list(detector.detect([DecodedImage(3, 2, pixels)]).scores)


def test_it_keeps_the_contract(detector: NudityDetector) -> None:
    """And says which package and which file look; its own code is never imported."""
    assert isinstance(detector, Detector)
    assert "nudenet" in detector.version
    assert detector.policies == ("nudity",)
    assert "nudenet" not in sys.modules


def test_examples_are_seen(detector: NudityDetector) -> None:
    """A drawn figure in a bikini as such, with its place; one in clothes and nobody as nothing."""
    for example in detector.examples():
        found = scores(detector, example.pixels)
        expected = [(score.label, score.question) for score in example.expected.scores]
        assert [(score.label, score.question) for score in found] == expected, example.name
        height, width = example.pixels.shape[:2]
        for score in found:
            box = score.region.box
            assert (score.policy, score.source, score.image_index) == ("nudity", "nudity", 3)
            assert (score.region.image_index, score.region.frame) == (3, 2)
            assert 0 <= box.x < box.x + box.width <= width
            assert 0 <= box.y < box.y + box.height <= height


SHAPES = [(1, 1), (1, 4096), (4096, 1), (31, 700)]


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: f"{shape[0]}x{shape[1]}")
def test_any_shape_is_looked_at(detector: NudityDetector, shape: tuple[int, int]) -> None:
    """Dots and strips of noise neither fail nor are taken for anybody."""
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    assert scores(detector, pixels) == []


def test_a_confidence_is_a_probability_only_by_a_curve(detector: NudityDetector) -> None:
    """Without one it stays as the model has it; with one, the same margin means what the curve says."""
    bikini = next(iter(detector.examples())).pixels
    [raw] = scores(detector, bikini)
    assert raw.margin == pytest.approx(np.log(raw.probability / (1 - raw.probability)))
    curve = {"underwear_swimwear": {"slope": 2.0, "intercept": -1.0}}
    [fitted] = scores(NudityDetector({"calibration": curve}, 1), bikini)
    assert fitted.margin == raw.margin
    assert fitted.probability == pytest.approx(1 / (1 + np.exp(1 - 2 * raw.margin)))


def test_what_is_not_sure_enough_is_left_out(detector: NudityDetector) -> None:
    """By the setting of the bundle."""
    bikini = next(iter(detector.examples())).pixels
    assert scores(NudityDetector({"min_confidence": 0.9}, 1), bikini) == []


def people() -> dict[str, Pixels]:
    """Photographs of people in clothes that the tests' libraries carry."""
    from skimage import data

    return {"astronaut": data.astronaut(), "photographer": np.stack([data.camera()] * 3, axis=-1)}


@pytest.mark.parametrize("name", ["astronaut", "photographer"])
def test_people_in_clothes_are_no_nudity(detector: NudityDetector, name: str) -> None:
    """The model sees that somebody is there, the right way up, and nothing that speaks for a label."""
    pixels = people()[name]
    assert scores(detector, pixels) == []
    model = PartsModel(model_file(), 1)
    found = max(model.find(pixels, 0.4), key=lambda part: part.confidence)
    assert found.name.startswith("face")
    left, top, right, bottom = found.box
    assert 0.15 < (left + right) / 2 / pixels.shape[1] < 0.6
    assert (top + bottom) / 2 / pixels.shape[0] < 0.4


def policy_thresholds() -> dict[str, float]:
    """From which confidence on the shipped policy asks a person about each label."""
    path = Path(__file__).resolve().parents[3] / "gateway/ostiary_gateway/defaults/policy.yaml"
    policies = yaml.safe_load(path.read_text(encoding="utf-8"))["policies"]
    [labels] = [policy["labels"] for policy in policies if policy["policy"] == "nudity"]
    return {
        label["label"]: step["threshold"]
        for label in labels
        for step in label["steps"]
        if step.get("sources") == ["nudity"] and step["action"] == "ACTION_REVIEW"
    }


@photographs.needs_photographs
def test_photographs_of_clothes_ask_nobody(detector: NudityDetector) -> None:
    """Of a hundred photographs of clothes none reaches a threshold of the shipped policy."""
    thresholds = policy_thresholds()
    assert tuple(thresholds) == LABELS
    for path in photographs.some(100):
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB"))
        reached = [
            score for score in scores(detector, pixels) if score.probability >= thresholds[score.label]
        ]
        assert not reached, path


def test_another_model_is_refused(tmp_path: Path) -> None:
    """A file that is none, and a model that knows other things."""
    require_nudenet()
    (tmp_path / "320n.onnx").write_bytes(b"no model")
    with pytest.raises(ValueError, match="is no model of body parts"):
        PartsModel(tmp_path / "320n.onnx", 1)
    renamed = model_file().read_bytes().replace(b"'FACE_FEMALE'", b"'CAT_FACE_00'")
    (tmp_path / "320n.onnx").write_bytes(renamed)
    with pytest.raises(ValueError, match="knows other parts"):
        PartsModel(tmp_path / "320n.onnx", 1)


def test_whoever_switches_it_on_is_told_the_licence() -> None:
    """In the log of the pod that loads it; a bundle that does not ask for it has nothing to tell."""
    require_nudenet()
    with structlog.testing.capture_logs() as logs:
        load_detectors([("barcode", {}), ("nudity", {})], 1)
    [entry] = logs
    assert (entry["log_level"], entry["detector"]) == ("warning", "nudity")
    assert "AGPL-3.0" in entry["notice"]


def test_inspecting_a_bundle_shows_the_licence(tmp_path: Path) -> None:
    """To people and to programs, whether the package is installed or not."""
    folder = tmp_path / "watchful"
    shutil.copytree(Bundle.load("mini").folder, folder)
    manifest = folder / "bundle.yaml"
    text = manifest.read_text(encoding="utf-8")
    manifest.write_text(text.replace("- name: hashes", "- name: nudity"), encoding="utf-8")
    told = CliRunner().invoke(app, ["inspect", str(folder)])
    assert told.exit_code == 0, told.output
    assert "notice          nudity: " in told.stdout
    assert "AGPL-3.0" in told.stdout
    facts = json.loads(CliRunner().invoke(app, ["inspect", str(folder), "--json"]).stdout)
    assert list(facts["notices"]) == ["nudity"]
    assert json.loads(CliRunner().invoke(app, ["inspect", "mini", "--json"]).stdout)["notices"] == {}


def test_the_page_names_what_it_looks_at() -> None:
    """docs/nudity.md has every part that speaks, every label and every setting."""
    page = (Path(__file__).resolve().parents[3] / "docs/nudity.md").read_text(encoding="utf-8")
    known = (*PARTS_THAT_SPEAK, *LABELS, *NuditySettings.model_fields)
    assert not [name for name in known if f"`{name}`" not in page]
    for block in re.findall(r"^```yaml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL):
        document = yaml.safe_load(block)
        for detector in document.get("detectors", ()):
            NuditySettings.model_validate(detector["settings"])
