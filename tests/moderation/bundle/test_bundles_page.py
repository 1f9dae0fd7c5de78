"""docs/bundles.md: its commands run, its entries are valid, and it leaves no field out."""

from __future__ import annotations

import csv
import json
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from pydantic import BaseModel
from typer.testing import CliRunner

from ostiary_moderation.bundle import Bundle, CapacityProfile, LoadPoint, Manifest, PrecisionPoint, Question
from ostiary_moderation.bundle import manifest as schema
from ostiary_moderation.cli.model import app

PAGE = (Path(__file__).resolve().parents[3] / "docs/bundles.md").read_text("utf-8")
COMMANDS = [
    line for block in re.findall(r"^```sh\n(.*?)^```$", PAGE, re.M | re.S) for line in block.splitlines()
]
ENTRIES = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.M | re.S)


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the page takes to be there: a checkpoint, photographs, and answers."""
    weights = tmp_path / "models" / "Qwen3-VL-8B-Instruct"
    shutil.copytree(Bundle.load("mini").folder, weights)
    config = json.loads((weights / "config.json").read_text("utf-8"))
    config["text_config"]["max_position_embeddings"] = 32_768
    (weights / "config.json").write_text(json.dumps(config), "utf-8")
    _photographs(tmp_path / "photos")
    (tmp_path / "colours.csv").write_text("file,colour,pattern\n0.jpg,red,plain\n", "utf-8")
    rows = [f"photos/{index}.jpg,explicit,{'yes' if index % 2 else 'no'}" for index in range(48)]
    (tmp_path / "answers.csv").write_text("\n".join(["file,question,label", *rows]), "utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _shorten(folder: Path) -> None:
    """Fewer words: the small tokenizer makes many tokens of each, and this machine waits for all of them."""
    path = folder / "bundle.yaml"
    manifest = yaml.safe_load(path.read_text("utf-8"))
    kept = ("qr_code", "contact_details", "explicit", "brand_mark")
    manifest["questions"] = [question for question in manifest["questions"] if question["id"] in kept]
    manifest["prompts"]["system"] = {"en": "You check pictures."}
    manifest["attributes"] = {name: ["unknown"] for name in manifest["attributes"]}
    manifest["pixels"] = {"min_pixels": 16_384, "max_pixels": 16_384}
    manifest["description"]["max_new_tokens"] = 4
    path.write_text(yaml.safe_dump(manifest, allow_unicode=True), "utf-8")


def _photographs(folder: Path) -> None:
    folder.mkdir()
    rng = np.random.default_rng(0)
    with (folder / "labels.csv").open("w", newline="", encoding="utf-8") as stream:
        rows = csv.writer(stream)
        rows.writerow(["file", "label", "kids", "sender"])
        for index in range(48):
            base = rng.integers(0, 256, (4, 3, 3), dtype=np.uint8)
            Image.fromarray(base).resize((60, 80)).save(folder / f"{index}.jpg")
            rows.writerow([f"{index}.jpg", ("dress", "hat")[index % 2], False, index % 12])


@pytest.mark.timeout(300)
def test_every_command_runs_in_order(workplace: Path) -> None:
    """From making a bundle to storing its profile, each ends well."""
    assert COMMANDS
    for command in COMMANDS:
        program, group, *arguments = shlex.split(command)
        assert (program, group) == ("ostiary", "model")
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0, f"{command}\n{result.output}"
        if arguments[0] == "init":
            _shorten(workplace / "bundles/8b")
    manifest = Bundle.load("bundles/8b").manifest
    assert manifest.capacity is not None
    prevalences = {question.id: question.calibration.prevalence for question in manifest.questions}
    assert (prevalences["qr_code"], prevalences["explicit"]) == (0.1, 0.02)


def test_the_new_question_is_a_question() -> None:
    """As it stands on the page."""
    [question] = yaml.safe_load(ENTRIES[0])
    parsed = Question.model_validate(question)
    acted_on = yaml.safe_load(ENTRIES[1])
    assert (acted_on["policy"], acted_on["label"]) == (parsed.policy, parsed.label)


@pytest.mark.parametrize(
    "model",
    [
        Manifest,
        Question,
        PrecisionPoint,
        schema.PixelBudget,
        schema.CloserLook,
        schema.DescriptionSettings,
        schema.Batching,
        schema.Detector,
        schema.Prompts,
        CapacityProfile,
        LoadPoint,
    ],
)
def test_no_field_is_left_out(model: type[BaseModel]) -> None:
    """Each is named in code font."""
    assert not [name for name in model.model_fields if f"`{name}`" not in PAGE]
