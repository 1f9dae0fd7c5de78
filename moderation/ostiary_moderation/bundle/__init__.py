"""Model bundles: what is rolled out, instead of bare weights.

A bundle is a folder with `bundle.yaml`, weights in Hugging Face layout (safetensors only), the tokenizer,
the image-processor settings and the chat template. Nothing in it is code, and nothing in it is fetched. torch
is not needed to read one.
"""

from ostiary_moderation.bundle.calibration import NEUTRAL, Calibration, PrecisionPoint, ValueCalibration
from ostiary_moderation.bundle.digest import measure_folder, measure_weights, weight_files
from ostiary_moderation.bundle.errors import BundleError
from ostiary_moderation.bundle.folder import Bundle, shipped
from ostiary_moderation.bundle.manifest import (
    ATTRIBUTES,
    MANIFEST,
    MAX_OPTIONS,
    UNKNOWN,
    Batching,
    CapacityProfile,
    CloserLook,
    DescriptionSettings,
    Detector,
    LoadPoint,
    Manifest,
    PixelBudget,
)
from ostiary_moderation.bundle.prompts import PROMPT_CATEGORIES, Answers, Prompts, Question

__all__ = [
    "ATTRIBUTES",
    "MANIFEST",
    "MAX_OPTIONS",
    "NEUTRAL",
    "PROMPT_CATEGORIES",
    "UNKNOWN",
    "Answers",
    "Batching",
    "Bundle",
    "BundleError",
    "Calibration",
    "CapacityProfile",
    "CloserLook",
    "DescriptionSettings",
    "Detector",
    "LoadPoint",
    "Manifest",
    "PixelBudget",
    "PrecisionPoint",
    "Prompts",
    "Question",
    "ValueCalibration",
    "measure_folder",
    "measure_weights",
    "shipped",
    "weight_files",
]
