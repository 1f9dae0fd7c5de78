"""Makes a bundle folder from a checkpoint and the stock prompt library."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ostiary_moderation.bundle.digest import measure_weights, weight_files
from ostiary_moderation.bundle.errors import BundleError
from ostiary_moderation.bundle.files import CONFIG, read_json
from ostiary_moderation.bundle.folder import Bundle
from ostiary_moderation.bundle.manifest import MANIFEST
from ostiary_moderation.library import stock_attributes, stock_prompts, stock_questions

# Of a checkpoint's files, those that are read. Weights come besides.
_COPIED = (
    "config.json", "generation_config.json", "preprocessor_config.json", "tokenizer.json",
    "tokenizer_config.json", "vocab.json", "merges.txt", "special_tokens_map.json", "added_tokens.json",
    "chat_template.jinja", "chat_template.json", "model.safetensors.index.json", "LICENSE",
)  # fmt: skip
_LANGUAGES = ("en", "zh")
# 512 × 512 pixels first, 1024 × 1024 where an answer is uncertain.
_PIXELS = {
    "min_pixels": 128 * 128,
    "max_pixels": 512 * 512,
    "closer": {"min_pixels": 256 * 256, "max_pixels": 1024 * 1024, "low": 0.2, "high": 0.8},
}


@dataclass(frozen=True)
class NewBundle:
    """What to make. `weights`: a checkpoint folder. `link`: point to its weight files instead of copying."""

    out: Path
    weights: Path
    name: str
    version: str
    dtype: str
    link: bool = False


def create_bundle(new: NewBundle, check: Callable[[Bundle], object]) -> Bundle:
    """Makes the folder, loads it, and puts it to `check`, which raises BundleError where it does not fit.

    Nothing is left behind of a bundle that does not. Raises BundleError, in words, for a folder that is
    there already and for a checkpoint that does not fit.
    """
    if new.out.exists():
        raise BundleError(f"{new.out}: is there already; give another folder, or remove it")
    if read_json(new.weights / CONFIG).get("model_type") != "qwen3_vl":
        raise BundleError(f"{new.weights / CONFIG}: model_type is not 'qwen3_vl'; give a Qwen3-VL checkpoint")
    draft = new.out.with_name(new.out.name + ".making")
    draft.mkdir(parents=True)
    try:
        weights = _bring(new, draft)
        manifest = _manifest(new, measure_weights(weights).hex())
        text = yaml.safe_dump(manifest, allow_unicode=True, sort_keys=False, width=110)
        (draft / MANIFEST).write_text(text, "utf-8")
        check(Bundle.load(draft))
        draft.rename(new.out)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return Bundle.load(new.out)


def suggested_name(weights: str) -> str:
    """A bundle name from a folder's or a hub repository's: `Qwen/Qwen3-VL-8B` → `qwen3-vl-8b`."""
    name = re.sub(r"[^a-z0-9._-]+", "-", Path(weights).name.lower()).strip("-._")
    return name[:63] or "bundle"


def _bring(new: NewBundle, draft: Path) -> list[Path]:
    """Copies the files that count into the draft, weights last. Returns the weight files there."""
    for name in _COPIED:
        if (new.weights / name).is_file():
            shutil.copyfile(new.weights / name, draft / name)
    for path in weight_files(new.weights):
        if new.link:
            (draft / path.name).symlink_to(path.resolve())
        else:
            shutil.copyfile(path, draft / path.name)
    return weight_files(draft)


def _manifest(new: NewBundle, weights_digest: str) -> Mapping[str, Any]:
    questions = [dict(question) for question in stock_questions()]
    return {
        "name": new.name,
        "version": new.version,
        "engine": "qwen3-vl",
        "dtype": new.dtype,
        "weights_digest": weights_digest,
        "capabilities": sorted({question["policy"] for question in questions}),
        "questions": questions,
        "attributes": {name: list(values) for name, values in stock_attributes().items()},
        "prompts": dict(stock_prompts()),
        "detectors": [{"name": "ocr", "settings": {}}, {"name": "barcode", "settings": {}}],
        "pixels": _PIXELS,
        "description": {"languages": list(_LANGUAGES), "max_new_tokens": 96, "temperature": 0.0},
    }
