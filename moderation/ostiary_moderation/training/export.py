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

from ostiary_moderation.bundle import (
    MANIFEST,
    Calibration,
    ValueCalibration,
    measure_weights,
    weight_files,
)
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


def write_manifest(
    folder: Path,
    questions: Mapping[str, Calibration],
    attributes: Mapping[str, ValueCalibration] | None = None,
) -> None:
    """`bundle.yaml`, with the weights' measured digest and the calibrations of questions and attributes."""
    digest = measure_weights(weight_files(folder)).hex()
    of_questions = {name: calibration.model_dump(mode="json") for name, calibration in questions.items()}
    of_attributes = {
        name: calibration.model_dump(mode="json") for name, calibration in (attributes or {}).items()
    }
    data = library.manifest(digest, of_questions, of_attributes)
    text = yaml.safe_dump(data, allow_unicode=True, sort_keys=False, width=110)
    (folder / MANIFEST).write_text(text, "utf-8")


def write_figures(folder: Path, figures: Mapping[str, Any]) -> None:
    """`evaluation.json` and `MODEL_CARD.md`."""
    (folder / "evaluation.json").write_text(json.dumps(figures, indent=2, ensure_ascii=False) + "\n", "utf-8")
    (folder / "MODEL_CARD.md").write_text(card(figures), "utf-8")


def card(figures: Mapping[str, Any]) -> str:
    """The model card: what was measured, what the model can and cannot see, and the command that made it."""
    policies = "\n".join(
        _policy_row(f"{indent}{name}", row)
        for policy, of_policy in figures["policies"].items()
        for indent, name, row in [
            ("", policy, of_policy),
            *(("– ", *item) for item in of_policy["questions"].items()),
        ]
    )
    attributes = "\n".join(_attribute_row(name, row) for name, row in figures["attributes"].items())
    recalls = "\n\n".join(_recalls(name, row["recall"]) for name, row in figures["attributes"].items())
    return _CARD.format_map({**figures, "policies": policies, "attributes": attributes, "recalls": recalls})


def _policy_row(name: str, row: Mapping[str, Any]) -> str:
    return (
        f"| {name} | {row['positives']} / {row['negatives']} | {_interval(row['auroc'])} | "
        f"{_interval(row['auroc_against_untouched'])} | {row['ece']:.3f} |"
    )


def _attribute_row(name: str, row: Mapping[str, Any]) -> str:
    probe = row["floor_linear_probe"]
    floors = f"{row['floor_commonest']['value']:.3f} | {probe['value']:.3f}" if probe else "– | –"
    reached = f"{_interval(row['top1'])} | {_interval(row['top3'])}"
    return f"| {name} | {row['top1']['n']} | {reached} | {floors} | {row['ece']:.3f} |"


def _recalls(name: str, recalls: Mapping[str, Any]) -> str:
    rows = "\n".join(f"| {value} | {row['n']} | {_interval(row)} |" for value, row in recalls.items())
    return f"| {name} | photographs | recall |\n|---|---|---|\n{rows}"


def _interval(figure: Mapping[str, float]) -> str:
    return f"{figure['value']:.3f} ({figure['low']:.3f}–{figure['high']:.3f})"


_CARD = """# mini {version}

A Qwen3-VL of {parameters:,} parameters (the architecture of transformers'
`Qwen3VLForConditionalGeneration`, small numbers), trained from random weights in {minutes:.0f} minutes on
{threads} CPU thread(s). It shows the whole path on a CPU; it is no substitute for a large checkpoint.

Made by `{command}`; the colours are `tests/data/colours.csv` of this repository (training is bounded by
time, so a rerun gives an equivalent model, not the same bytes).

## What it can see
Measured on {photos} photographs of {senders} senders that it never learnt from. In brackets: 95% intervals.

| Attribute | Photographs | Top 1 | Top 3 | Commonest | Linear probe on colours | Calibration error |
|---|---|---|---|---|---|---|
{attributes}

Each photograph was also looked at with one prohibited overlay (a QR code or contact details) and with one
benign one (slogan, price, size chart, pattern that looks like a code). "Untouched" sets the prohibited
against photographs without overlays. The calibration error is at balanced prevalence; as served,
probabilities are meant for a prevalence of {prevalence:.0%} a question.

| Policy, question | Prohibited / benign | AUROC, benign overlays | AUROC, untouched | Calibration error |
|---|---|---|---|---|
{policies}

Descriptions are one sentence of colour, pattern, kind and audience, in English or Chinese, and are as right
as those four.

{recalls}

## What it cannot see
It sees at most 134 visual tokens of 32 × 32 pixels: it notices that there is writing and what it looks like,
and can hardly read it. Reading contact details is the OCR detector's work, decoding QR codes the barcode
detector's. It knows nothing of brands and nothing of nudity (both are `unsupported`), nor of styles,
materials, scenes or styling, and it knows only clothes laid out or hung for a phone's camera. Of other
products it has seen drawings: it calls some things `unknown`, and names the garment that comes nearest for
others. Overlays in training were rendered; real ones may differ.

## Data
Photographs: the public clothing dataset (CC0 1.0), split by sender: {train_photos} to train on,
{calibration_photos} to calibrate on, {photos} to test on. Kind and audience are the dataset's labels; colour
and pattern were labelled by eye from small pictures. Overlays and other products: drawn by this project.
"""
