"""Prompts that do not fit the tokenizer or the model are refused before anybody is served."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from ostiary_moderation.bundle import Bundle, BundleError, measure_weights
from ostiary_moderation.engines.qwen3_vl import loading
from ostiary_moderation.engines.qwen3_vl.loading import load_model, load_processor


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A copy of the shipped bundle, to change."""
    return Path(shutil.copytree(Bundle.load("mini").folder, tmp_path / "bundle"))


def change_manifest(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Rewrites bundle.yaml."""
    path = folder / "bundle.yaml"
    data = yaml.safe_load(path.read_text("utf-8"))
    change(data)
    path.write_text(yaml.safe_dump(data, allow_unicode=True), "utf-8")


def change_json(folder: Path, name: str, **values: object) -> None:
    """Rewrites a JSON file."""
    data = json.loads((folder / name).read_text("utf-8"))
    (folder / name).write_text(json.dumps({**data, **values}), "utf-8")


def _long_rulebook(data: dict[str, Any]) -> None:
    data["prompts"]["system"]["en"] = "Be strict. " * 2000


def _long_question(data: dict[str, Any]) -> None:
    data["questions"][0]["text"]["shoes"] = {"zh": "请仔细看图。" * 900}


def _small_batches(data: dict[str, Any]) -> None:
    data["batching"] = {"max_sequences": 1, "prefill_tokens": 70}


MISFITS: dict[str, tuple[Callable[[Path], object], list[str]]] = {
    "yes in many tokens": (
        lambda f: change_manifest(f, lambda d: d["prompts"]["answers"].update(yes="Affirmative")),
        ["prompts.answers.yes", "'Affirmative' is", "every answer must be one"],
    ),
    "yes like no": (
        lambda f: change_manifest(f, lambda d: d["prompts"]["answers"].update(yes="No")),
        ["prompts.answers", "same token"],
    ),
    "rulebook beyond the context": (
        lambda f: change_manifest(f, _long_rulebook),
        ["'en'", "rulebook", "the context is 4096"],
    ),
    "question beyond the context": (
        lambda f: change_manifest(f, _long_question),
        ["for 'shoes'", "questions", "the context is"],
    ),
    "more than a forward pass takes": (
        lambda f: change_manifest(f, _small_batches),
        ["batching.prefill_tokens is 70", "image"],
    ),
    "other checkpoint's tokenizer": (
        lambda f: change_json(f, "config.json", image_token_id=17),
        ["config.json: image_token_id is 17", "<|image_pad|>"],
    ),
    "another architecture": (
        lambda f: change_json(f, "config.json", model_type="llava"),
        ["config.json", "'llava'", "qwen3_vl"],
    ),
    "quantised weights": (
        lambda f: change_json(f, "config.json", quantization_config={"quant_method": "fp8"}),
        ["config.json", "quantised already"],
    ),
    "template without the image": (
        lambda f: (f / "chat_template.jinja").write_text("{{ messages[0].content }}", "utf-8"),
        ["chat template"],
    ),
    "thinking template": (
        lambda f: (f / "chat_template.jinja").write_text(
            (f / "chat_template.jinja").read_text() + "<think>\n"
        ),
        ["chat template", "<think>", "Instruct"],
    ),
    "tokenizer of nothing": (lambda f: (f / "tokenizer.json").write_text("{}", "utf-8"), ["do not load"]),
}


@pytest.mark.parametrize("misfit", MISFITS)
def test_what_does_not_fit_is_refused_in_words(copied: Path, misfit: str) -> None:
    """Each refusal names the bundle, the field and the number that is too large."""
    damage, words = MISFITS[misfit]
    damage(copied)
    with pytest.raises(BundleError) as caught:
        load_processor(Bundle.load(copied))
    for word in [str(copied), *words]:
        assert word in str(caught.value)


def test_a_truncated_checkpoint_is_refused_in_words(copied: Path) -> None:
    """Even where somebody has corrected the digest."""
    path = copied / "model.safetensors"
    path.write_bytes(path.read_bytes()[:100_000])
    change_manifest(copied, lambda data: data.update(weights_digest=measure_weights([path]).hex()))
    with pytest.raises(BundleError, match="does not load"):
        load_model(Bundle.load(copied))


def test_nf4_of_sizes_without_whole_blocks_is_refused_in_words(copied: Path) -> None:
    """The library would fail in the middle of the first check."""
    change_manifest(copied, lambda data: data.update(dtype="nf4"))
    config = json.loads((copied / "config.json").read_text("utf-8"))
    change_json(copied, "config.json", text_config={**config["text_config"], "intermediate_size": 480})
    with pytest.raises(BundleError, match="intermediate_size is 480; nf4 needs a multiple of 64"):
        load_model(Bundle.load(copied))


def test_nf4_without_its_libraries_says_what_to_install(
    copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not a traceback from somewhere inside the library."""
    change_manifest(copied, lambda data: data.update(dtype="nf4"))
    monkeypatch.setattr(loading, "find_spec", lambda name: None)
    with pytest.raises(BundleError, match=r"pip install 'ostiary\[nf4\]'"):
        load_model(Bundle.load(copied))
