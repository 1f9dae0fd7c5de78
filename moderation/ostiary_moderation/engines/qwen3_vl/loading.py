"""Loads a bundle's files with the stock classes: offline, from safetensors, without anybody's code."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

# Read by the hub client when it is first imported: nothing may be fetched, whatever a config names.
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModelForImageTextToText,
    AutoTokenizer,
    BitsAndBytesConfig,
)
from transformers.utils.logging import disable_progress_bar

from ostiary_moderation.bundle import MANIFEST, Bundle, BundleError
from ostiary_moderation.engines.qwen3_vl.fit import check_answers, check_lengths, check_marks, check_opening
from ostiary_moderation.engines.qwen3_vl.patch_embed import LinearPatchEmbed
from ostiary_moderation.engines.qwen3_vl.processor import ImageOnlyProcessor

disable_progress_bar()  # type: ignore[no-untyped-call]  # servers write logs

_LOCAL = {"local_files_only": True, "trust_remote_code": False}
# What stays in full precision under nf4. By the modules' full names: the library matches from the start.
KEPT = ("model.visual", "lm_head")
_BLOCK = 64  # weights that share a scale; a row of a matrix must hold whole blocks


def load_processor(bundle: Bundle) -> ImageOnlyProcessor:
    """The bundle's image processor and tokenizer. Raises BundleError when they do not load, or when the
    prompts do not fit them or the model.
    """
    config = load_config(bundle.folder)
    try:
        image_processor = AutoImageProcessor.from_pretrained(  # type: ignore[no-untyped-call]
            bundle.folder, backend="pil", **_LOCAL
        )
        tokenizer = AutoTokenizer.from_pretrained(bundle.folder, **_LOCAL)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise BundleError(f"{bundle.folder}: processor files do not load: {error}") from error
    processor = ImageOnlyProcessor(image_processor, tokenizer)
    with _located(bundle.folder):
        check_marks(processor, config)
        check_answers(bundle.manifest, processor)
        check_opening(processor.frame("."))
        check_lengths(bundle.manifest, processor, bundle.view_spec.cell, config)
    return processor


def load_config(folder: Path) -> Any:
    """The model's configuration. Raises BundleError for another architecture, or for quantised weights."""
    path = folder / "config.json"
    try:
        config = AutoConfig.from_pretrained(folder, **_LOCAL)
    except (OSError, ValueError, KeyError) as error:
        raise BundleError(f"{path}: does not load: {error}") from error
    if config.model_type != "qwen3_vl":
        raise BundleError(f"{path}: model_type is {config.model_type!r}; this engine runs 'qwen3_vl'")
    if getattr(config, "quantization_config", None):
        raise BundleError(
            f"{path}: the weights are quantised already; give the original ones, and dtype: nf4 in {MANIFEST}"
        )
    return config


def load_model(bundle: Bundle) -> Any:
    """The bundle's model, in evaluation mode, in the manifest's dtype, on the GPU where there is one.

    Raises BundleError when files do not fit, or when nf4 lacks its libraries.
    """
    config = load_config(bundle.folder)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        loaded: Any = AutoModelForImageTextToText.from_pretrained(
            bundle.folder,
            config=config,
            attn_implementation="sdpa",
            use_safetensors=True,
            output_loading_info=True,
            **_precision(bundle, config, device),
            **_LOCAL,
        )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise BundleError(f"{bundle.folder}: the model does not load: {error}") from error
    model, report = loaded
    _check_complete(bundle.folder, report)
    if bundle.manifest.dtype != "nf4":
        model = model.to(device)
    visual = model.model.visual
    visual.patch_embed = LinearPatchEmbed(visual.patch_embed.proj)
    return model.eval()


def _precision(bundle: Bundle, config: Any, device: torch.device) -> dict[str, Any]:
    """How to load the weights. 4-bit weights are computed with in bfloat16 on a GPU, in float32 on a CPU."""
    name = bundle.manifest.dtype
    if name != "nf4":
        return {"dtype": getattr(torch, name)}
    if find_spec("bitsandbytes") is None or find_spec("accelerate") is None:
        raise BundleError(
            f"{bundle.folder / MANIFEST}: dtype nf4 needs bitsandbytes and accelerate: "
            "pip install 'ostiary[nf4]'"
        )
    text = config.get_text_config()
    for field in ("hidden_size", "intermediate_size"):
        if (size := int(getattr(text, field))) % _BLOCK:
            raise BundleError(
                f"{bundle.folder}/config.json: text_config.{field} is {size}; nf4 needs a multiple of "
                f"{_BLOCK}: choose another dtype in {MANIFEST}"
            )
    compute = torch.bfloat16 if device.type == "cuda" else torch.float32
    quantisation = BitsAndBytesConfig(  # type: ignore[no-untyped-call]
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=compute,
        # Replaces the library's own list, which would have the vision tower quantised.
        llm_int8_skip_modules=list(KEPT),
    )
    return {"dtype": compute, "quantization_config": quantisation, "device_map": {"": device}}


def _check_complete(folder: Path, report: Any) -> None:
    """The library would fill missing weights with random numbers, and go on."""
    for kind in ("missing_keys", "mismatched_keys", "unexpected_keys"):
        if names := report.get(kind):
            some = ", ".join(str(name) for name in sorted(names, key=str)[:3])
            raise BundleError(
                f"{folder}: weights and config.json do not fit: {kind.replace('_', ' ')}: {some} …"
            )


@contextmanager
def _located(folder: Path) -> Iterator[None]:
    """Says which bundle a refusal is of."""
    try:
        yield
    except BundleError as error:
        raise BundleError(f"{folder}: {error}") from error
