"""Which files a bundle must hold, and which it must not. Each refusal names the file and what to do."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ostiary_moderation.bundle.errors import BundleError

CONFIG = "config.json"
PREPROCESSOR = "preprocessor_config.json"
TOKENIZER_CONFIG = "tokenizer_config.json"
WEIGHT_INDEX = "model.safetensors.index.json"
TOKENIZERS = (("tokenizer.json",), ("vocab.json", "merges.txt"))  # any of these sets
CHAT_TEMPLATES = ("chat_template.jinja", "chat_template.json")

# What `torch.load` or `trust_remote_code` would execute.
_CODE = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".py", ".pyc", ".so", ".msgpack", ".h5")
_FETCH = "copy it from the checkpoint that the weights are of"


def refuse_code(folder: Path) -> None:
    """Raises BundleError for a file that could be executed, or that asks for code."""
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in _CODE:
            raise BundleError(
                f"{path}: bundles hold data only; convert pickled weights to safetensors, remove code"
            )
    for path in folder.glob("*config*.json"):
        if '"auto_map"' in path.read_text("utf-8"):
            raise BundleError(f"{path}: asks for remote code (auto_map); a bundle may not bring any")


def check_files(folder: Path) -> None:
    """Raises BundleError for the first file that is missing or cannot be read."""
    for name in (CONFIG, PREPROCESSOR, TOKENIZER_CONFIG):
        read_json(folder / name)
    if not any(all((folder / name).is_file() for name in names) for names in TOKENIZERS):
        raise BundleError(f"{folder}/{TOKENIZERS[0][0]}: missing; {_FETCH}")
    template = any((folder / name).is_file() for name in CHAT_TEMPLATES)
    if not template and not read_json(folder / TOKENIZER_CONFIG).get("chat_template"):
        raise BundleError(f"{folder}/{CHAT_TEMPLATES[0]}: missing; {_FETCH}")
    if (folder / WEIGHT_INDEX).exists():
        _check_shards(folder)


def read_json(path: Path) -> Mapping[str, Any]:
    """The object in a JSON file. Raises BundleError when there is none."""
    if not path.is_file():
        raise BundleError(f"{path}: missing; {_FETCH}")
    try:
        data = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise BundleError(f"{path}: not JSON: {error}") from error
    if not isinstance(data, dict):
        raise BundleError(f"{path}: holds no JSON object")
    return data


def visual_cell(folder: Path) -> int:
    """Side in pixels of the square that one visual token covers. Raises BundleError when it is not said."""
    path = folder / PREPROCESSOR
    settings = read_json(path)
    try:
        return int(settings["patch_size"]) * int(settings["merge_size"])
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError(f"{path}: patch_size and merge_size must be whole numbers") from error


def _check_shards(folder: Path) -> None:
    index = folder / WEIGHT_INDEX
    shards = read_json(index).get("weight_map")
    if not isinstance(shards, dict):
        raise BundleError(f"{index}: no weight_map; {_FETCH}")
    named, there = set(shards.values()), {path.name for path in folder.glob("*.safetensors")}
    if missing := sorted(named - there):
        raise BundleError(f"{folder}/{missing[0]}: missing, but {WEIGHT_INDEX} names it; {_FETCH}")
    if surplus := sorted(there - named):
        raise BundleError(f"{folder}/{surplus[0]}: not named in {WEIGHT_INDEX}; remove it")
