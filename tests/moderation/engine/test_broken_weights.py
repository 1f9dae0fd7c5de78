"""Checkpoints whose files do not fit together are refused, and numbers that are none never judge."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from ostiary_moderation.bundle import Bundle, BundleError, measure_weights
from ostiary_moderation.engine import LookFailedError, LookRequest
from ostiary_moderation.engines import load_engine
from ostiary_moderation.views import ImageViews

Views = list[ImageViews]


@pytest.fixture
def copied(tiny_folder: Path, tmp_path: Path) -> Path:
    """A copy of the bundle to damage."""
    return Path(shutil.copytree(tiny_folder, tmp_path / "bundle"))


def rewrite(folder: Path, weights: dict[str, NDArray[Any]]) -> None:
    """Replaces the weights and makes the manifest agree with them."""
    path = folder / "model.safetensors"
    save_file(weights, path, metadata={"format": "pt"})
    manifest = yaml.safe_load((folder / "bundle.yaml").read_text("utf-8"))
    manifest["weights_digest"] = measure_weights([path]).hex()
    (folder / "bundle.yaml").write_text(yaml.safe_dump(manifest, allow_unicode=True), "utf-8")


def ones(folder: Path) -> dict[str, NDArray[Any]]:
    """Weights of the right names and shapes, as float32."""
    from safetensors.torch import load_file as load_torch

    return {name: tensor.float().numpy() for name, tensor in load_torch(folder / "model.safetensors").items()}


def test_missing_weights_are_refused(copied: Path) -> None:
    """The library would fill them with random numbers and go on."""
    weights = ones(copied)
    del weights["model.language_model.norm.weight"]
    rewrite(copied, weights)
    assert "model.language_model.norm.weight" not in load_file(copied / "model.safetensors")
    with pytest.raises(BundleError, match="missing keys"):
        load_engine(Bundle.load(copied), threads=1)


def test_weights_of_another_shape_are_refused(copied: Path) -> None:
    """So are weights that do not fit the configuration."""
    weights = ones(copied)
    weights["model.language_model.norm.weight"] = np.ones(7, np.float32)
    rewrite(copied, weights)
    with pytest.raises(BundleError):
        load_engine(Bundle.load(copied), threads=1)


def test_another_architecture_is_refused(copied: Path) -> None:
    """The manifest's engine runs one architecture."""
    config = json.loads((copied / "config.json").read_text("utf-8"))
    config["model_type"] = "llava"
    (copied / "config.json").write_text(json.dumps(config), "utf-8")
    with pytest.raises(BundleError, match=r"config\.json"):
        load_engine(Bundle.load(copied), threads=1)


def test_a_bundle_without_a_tokenizer_is_refused(copied: Path) -> None:
    """Nothing is looked for anywhere else."""
    (copied / "tokenizer.json").unlink()
    with pytest.raises(BundleError, match=r"tokenizer\.json"):
        load_engine(Bundle.load(copied), threads=1)


async def test_a_model_that_answers_no_number_is_an_error(copied: Path, views: Views) -> None:
    """NaN must not become a probability below every threshold."""
    weights = ones(copied)
    weights["model.language_model.norm.weight"][:] = np.nan
    rewrite(copied, weights)
    engine = load_engine(Bundle.load(copied), threads=1)
    for wants in ({}, {"description": False, "attributes": False}, {"flags": False, "description": False}):
        with pytest.raises(LookFailedError, match="no number"):
            await engine.look(LookRequest(views[:1], **wants))
    with pytest.raises(LookFailedError, match="no number"):
        await engine.look(LookRequest(views[:1], flags=False, attributes=False))
    await engine.close()
