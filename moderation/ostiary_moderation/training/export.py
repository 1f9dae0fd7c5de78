"""Writes a bundle folder: weights in bfloat16, processor files, manifest, figures and model card."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors.torch import save_file
from transformers import GenerationConfig, PreTrainedTokenizerFast, Qwen3VLForConditionalGeneration

from ostiary_moderation.bundle import MANIFEST, Calibration, measure_weights, weight_files
from ostiary_moderation.training import library
from ostiary_moderation.training.architecture import build_image_processor


def write_model(
    folder: Path, model: Qwen3VLForConditionalGeneration, tokenizer: PreTrainedTokenizerFast
) -> None:
    """Weights, configuration, tokenizer, chat template and image-processor settings, in Hugging Face
    layout.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tied = {"lm_head.weight"} if model.config.tie_word_embeddings else set()
    weights = {name: tensor for name, tensor in model.state_dict().items() if name not in tied}
    halves = {name: tensor.detach().to(torch.bfloat16).contiguous() for name, tensor in weights.items()}
    save_file(halves, folder / "model.safetensors", metadata={"format": "pt"})
    # The library keeps the file to its owner; a pod runs as somebody else.
    (folder / "model.safetensors").chmod(0o644)
    model.config.architectures = [type(model).__name__]
    model.config.dtype = "bfloat16"
    model.config.save_pretrained(folder)
    text = model.config.get_text_config()
    generation = GenerationConfig(  # type: ignore[no-untyped-call]
        eos_token_id=text.eos_token_id, pad_token_id=text.pad_token_id
    )
    generation.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    build_image_processor(library.MIN_PIXELS, library.MAX_PIXELS).save_pretrained(folder)


def write_manifest(folder: Path, calibrations: Mapping[str, Calibration]) -> None:
    """`bundle.yaml`, with the weights' measured digest."""
    digest = measure_weights(weight_files(folder)).hex()
    tables = {name: calibration.model_dump(mode="json") for name, calibration in calibrations.items()}
    text = yaml.safe_dump(library.manifest(digest, tables), allow_unicode=True, sort_keys=False, width=110)
    (folder / MANIFEST).write_text(text, "utf-8")


def write_figures(folder: Path, figures: Mapping[str, Any]) -> None:
    """`evaluation.json` and `MODEL_CARD.md`."""
    (folder / "evaluation.json").write_text(json.dumps(figures, indent=2, ensure_ascii=False) + "\n", "utf-8")
    (folder / "MODEL_CARD.md").write_text(card(figures), "utf-8")


def card(figures: Mapping[str, Any]) -> str:
    """The model card: what was measured, what the model can and cannot see, and the command that made it."""
    questions = "\n".join(_question_row(name, row) for name, row in figures["questions"].items())
    attributes = "\n".join(
        f"| {name} | {row['accuracy']:.3f} | {row['commonest']:.3f} |"
        for name, row in figures["attributes"].items()
    )
    return _CARD.format_map({**figures, "questions": questions, "attributes": attributes})


def _question_row(name: str, row: Mapping[str, Any]) -> str:
    test = row["test_at_0.97"]
    fires = (
        "– | – | –"
        if test is None
        else f"{test['recall']:.3f} | {test['false_positive_rate']:.4f} | {test['clean_rate']:.4f}"
    )
    return f"| {name} | {row['auc']:.3f} | {row['auc_clean']:.3f} | {fires} |"


_CARD = """# mini {version}

A Qwen3-VL of {parameters:,} parameters (the architecture of transformers'
`Qwen3VLForConditionalGeneration`, small numbers), trained from random weights in {minutes:.0f} minutes on
{threads} CPU thread(s). It shows the whole path on a CPU; it is no substitute for a large checkpoint.

Made by `{command}` (training is bounded by time, so a rerun gives an equivalent model, not the same bytes).

## What it can see
Measured on {test_photos} photographs of {test_senders} senders that it never learnt from, {test_scenes}
scenes with rendered overlays and the photographs as they are. AUC "overlays" counts look-alike patterns,
slogans, prices and size charts among the negatives; "clean" sets positives against untouched photographs.
The last three columns are at the threshold for precision 0.97 at a prevalence of {prevalence:.0%}, set on
other senders; "–": no threshold reaches it, so that a policy with that target never fires on this question.

| Question | AUC overlays | AUC clean | Recall | False positives, overlays | Fires on clean |
|---|---|---|---|---|---|
{questions}

| Attribute | Accuracy | Always the commonest value |
|---|---|---|
{attributes}

Colour is measured against a label computed from the middle of the photograph, not given by a person.
Descriptions are one sentence of colour, kind and audience, in English or Chinese, and are as right as those
three.

## What it cannot see
It sees at most 66 visual tokens of 32 × 32 pixels: it notices that there is writing and what it looks like,
and cannot read it. Reading contact details is the OCR detector's work, decoding QR codes the barcode
detector's. It knows nothing of brands, nudity, patterns, styles, materials, scenes or styling, and only
clothes laid out or hung for a phone's camera. Overlays in training were rendered; real ones may differ.

## Data
Photographs: the public clothing dataset (CC0 1.0), split by sender: {train_photos} to train on,
{calibration_photos} to calibrate on, {test_photos} to test on. Overlays: QR codes and text drawn by this
project.
"""
