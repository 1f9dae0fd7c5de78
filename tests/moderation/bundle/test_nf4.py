"""4-bit weights: the language model's matrices, and nothing that looks at pixels or reads answers."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from ostiary_moderation.bundle import Bundle, measure_weights
from ostiary_moderation.engine import LookRequest
from ostiary_moderation.engines import load_engine
from ostiary_moderation.engines.qwen3_vl.loading import load_model
from ostiary_moderation.views import make_views

bitsandbytes = pytest.importorskip("bitsandbytes", reason="the extra [nf4] is not installed")
WIDTH = 384  # of the feed-forward layers: a multiple of the block size


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The shipped bundle, its feed-forward layers cut down to a width that 4 bits can hold."""
    folder = shutil.copytree(Bundle.load("mini").folder, tmp_path_factory.mktemp("nf4") / "bundle")
    weights = load_file(folder / "model.safetensors")
    for name, tensor in weights.items():
        if "language_model" in name and "mlp" in name:
            weights[name] = (tensor[:, :WIDTH] if "down_proj" in name else tensor[:WIDTH]).contiguous()
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text("utf-8"))
    config["text_config"]["intermediate_size"] = WIDTH
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    manifest = folder / "bundle.yaml"
    old, new = Bundle.load("mini").weights_digest, measure_weights([folder / "model.safetensors"])
    manifest.write_text(manifest.read_text("utf-8").replace(old.hex(), new.hex()), "utf-8")
    return Bundle.load(Path(folder))


def in_dtype(bundle: Bundle, dtype: str) -> Bundle:
    """The bundle in another precision."""
    return replace(bundle, manifest=bundle.manifest.model_copy(update={"dtype": dtype}))


@pytest.fixture(scope="module")
def quantised(bundle: Bundle) -> Any:
    """Its model in 4 bits."""
    return load_model(in_dtype(bundle, "nf4"))


def test_the_language_model_is_in_four_bits(quantised: Any) -> None:
    """Every matrix of every layer."""
    linears = [
        module
        for module in quantised.model.language_model.layers.modules()
        if isinstance(module, torch.nn.Linear)
    ]
    assert linears
    assert all(isinstance(module, bitsandbytes.nn.Linear4bit) for module in linears)
    assert {module.weight.quant_type for module in linears} == {"nf4"}


def test_the_vision_tower_and_the_head_are_as_they_were(bundle: Bundle, quantised: Any) -> None:
    """Bit for bit: small errors in what is seen, or in what is answered, cost most."""
    whole = load_model(in_dtype(bundle, "float32"))
    for kept in ("model.visual", "lm_head"):
        before, after = whole.get_submodule(kept).state_dict(), quantised.get_submodule(kept).state_dict()
        assert before.keys() == after.keys()
        assert all(torch.equal(before[name], after[name]) for name in before)


async def test_answers_stay_close(bundle: Bundle) -> None:
    """To those in full precision, through the engine, on pictures of three shapes."""
    margins: dict[str, list[float]] = {"float32": [], "nf4": []}
    for dtype, found in margins.items():
        engine = load_engine(in_dtype(bundle, dtype), threads=1)
        for shape in ((400, 300), (300, 400), (256, 256)):
            pixels = np.full((*shape, 3), shape[0] % 251, np.uint8)
            pixels[: shape[0] // 2] = (200, 40, 40)
            look = await engine.look(LookRequest([make_views(pixels, bundle.view_spec)]))
            found.extend(score.margin for score in look.scores)
        await engine.close()
    drift = np.abs(np.array(margins["nf4"]) - np.array(margins["float32"]))
    assert drift.max() < 1.5  # of logits; 4 bits are not free
    assert drift.max() > 0  # and it is not the same model
