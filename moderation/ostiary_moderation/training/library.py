"""The embedded bundle's questions, attributes and prompts. They are short: a small model reads every token
twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ostiary_moderation.bundle import ATTRIBUTES, UNKNOWN
from ostiary_moderation.training.gallery import LABELS

NAME = "mini"
VERSION = "2026.11.4"
LANGUAGES = ("en", "zh")
MIN_PIXELS, MAX_PIXELS = 96 * 1024, 134 * 1024  # 96 to 134 visual tokens of 32 × 32 pixels

PROMPTS: dict[str, Any] = {
    "system": {"en": "You moderate product photos."},
    "describe": {"en": "Describe the product in English.", "zh": "用中文描述商品。"},
    "attribute": {"en": "What is the {name}?"},
    "answers": {"yes": "Yes", "no": "No"},
}
QUESTIONS: tuple[dict[str, Any], ...] = tuple(
    {"id": label, "policy": "prohibited_ads", "label": label, "text": {"general": {"en": text}}}
    for label, text in (
        ("qr_code", "Is there a QR code?"),
        ("contact_details", "Are there contact details?"),
    )
)
SEEN: dict[str, tuple[str, ...]] = {name: (*values, UNKNOWN) for name, values in LABELS.items()}


def manifest(
    weights_digest: str, calibrations: Mapping[str, Any], attributes: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """What `bundle.yaml` holds. `calibrations`: by question id; a question without one keeps the neutral
    default. `attributes`: calibrations by attribute.
    """
    questions = [{**question, "calibration": calibrations.get(question["id"], {})} for question in QUESTIONS]
    return {
        "name": NAME,
        "version": VERSION,
        "engine": "qwen3-vl",
        "dtype": "float32",
        "weights_digest": weights_digest,
        "capabilities": ["prohibited_ads"],
        "questions": questions,
        "attributes": {name: list(SEEN.get(name, (UNKNOWN,))) for name in ATTRIBUTES},
        "attribute_calibration": dict(attributes or {}),
        "prompts": PROMPTS,
        "detectors": [
            {"name": "ocr", "settings": {}},
            {"name": "barcode", "settings": {}},
            {"name": "hashes", "settings": {}},
            {"name": "logo", "settings": {}},
        ],
        "pixels": {"min_pixels": MIN_PIXELS, "max_pixels": MAX_PIXELS},
        "description": {"languages": list(LANGUAGES), "max_new_tokens": 32, "temperature": 0},
    }
