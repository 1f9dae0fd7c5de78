"""Loads a bundle's files with the stock classes: offline, from safetensors, without anybody's code."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

# Read by the hub client when it is first imported: nothing may be fetched, whatever a config names.
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from transformers import AutoConfig, AutoImageProcessor, AutoModelForImageTextToText, AutoTokenizer
from transformers.utils.logging import disable_progress_bar

from ostiary_moderation.bundle import Bundle, BundleError
from ostiary_moderation.engines.qwen3_vl.patch_embed import LinearPatchEmbed
from ostiary_moderation.engines.qwen3_vl.processor import ImageOnlyProcessor

disable_progress_bar()  # type: ignore[no-untyped-call]  # servers write logs

_LOCAL = {"local_files_only": True, "trust_remote_code": False}


def load_processor(bundle: Bundle) -> ImageOnlyProcessor:
    """The bundle's image processor and tokenizer. Raises BundleError when they cannot be loaded."""
    try:
        image_processor = AutoImageProcessor.from_pretrained(  # type: ignore[no-untyped-call]
            bundle.folder, backend="pil", **_LOCAL
        )
        tokenizer = AutoTokenizer.from_pretrained(bundle.folder, **_LOCAL)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise BundleError(f"{bundle.folder}: processor files do not load: {error}") from error
    return ImageOnlyProcessor(image_processor, tokenizer, bundle.manifest.pixels)


def load_model(bundle: Bundle) -> Any:
    """The bundle's model, in evaluation mode, in the manifest's dtype. Raises BundleError when files do not
    fit.
    """
    try:
        config = AutoConfig.from_pretrained(bundle.folder, **_LOCAL)
        _check_architecture(bundle.folder, config)
        loaded: Any = AutoModelForImageTextToText.from_pretrained(
            bundle.folder,
            config=config,
            dtype=getattr(torch, bundle.manifest.dtype),
            attn_implementation="sdpa",
            use_safetensors=True,
            output_loading_info=True,
            **_LOCAL,
        )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise BundleError(f"{bundle.folder}: the model does not load: {error}") from error
    model, report = loaded
    _check_complete(bundle.folder, report)
    visual = model.model.visual
    visual.patch_embed = LinearPatchEmbed(visual.patch_embed.proj)
    return model.eval()


def _check_architecture(folder: Path, config: Any) -> None:
    if config.model_type != "qwen3_vl":
        raise BundleError(
            f"{folder}/config.json: model_type is {config.model_type!r}; this engine runs 'qwen3_vl'"
        )


def _check_complete(folder: Path, report: Any) -> None:
    """The library would fill missing weights with random numbers, and go on."""
    for kind in ("missing_keys", "mismatched_keys", "unexpected_keys"):
        if names := report.get(kind):
            some = ", ".join(str(name) for name in sorted(names, key=str)[:3])
            raise BundleError(
                f"{folder}: weights and config.json do not fit: {kind.replace('_', ' ')}: {some} …"
            )
