"""Model bundles: what is rolled out, instead of bare weights.

A bundle is a folder with `bundle.yaml`, weights in Hugging Face layout (safetensors only), the tokenizer, the
image-processor settings and the chat template. Nothing in it is code, and nothing in it is fetched.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

MANIFEST = "bundle.yaml"
UNKNOWN = "unknown"
ATTRIBUTES = ("category", "colour", "pattern", "style", "material", "audience", "scene", "styling")
FALLBACK_LANGUAGE = "en"
FALLBACK_CATEGORY = "general"
MAX_OPTIONS = 26  # one letter each

Probability = Annotated[float, Field(ge=0.0, le=1.0)]
Identifier = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Texts = Annotated[dict[str, str], Field(min_length=1)]


class BundleError(ValueError):
    """A bundle that cannot be used; the message says which file is at fault and what to do about it."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _localised(texts: Mapping[str, str], language: str) -> str:
    """The text in a BCP 47 language: exact, then primary subtag (`zh-CN` → `zh`), then English, then the
    first.
    """
    for key in (language, language.split("-")[0], FALLBACK_LANGUAGE):
        if key in texts:
            return texts[key]
    return next(iter(texts.values()))


class PrecisionPoint(_Strict):
    """One row of the precision-to-threshold table, measured on photographs held out from training."""

    precision: Probability = Field(description="Precision reached at the threshold.")
    threshold: Probability = Field(description="Lowest calibrated probability that reaches it.")
    recall: Probability = Field(description="Share of the positives that is at or above the threshold.")


class Calibration(_Strict):
    """Raw margin → probability, sigmoid(slope * margin + intercept), and what precision it reaches from
    where.

    `prevalence`: the share of positives that probabilities and precisions are meant for; both change with it.
    """

    slope: float = Field(gt=0.0, default=1.0)
    intercept: float = 0.0
    prevalence: float = Field(gt=0.0, lt=1.0, default=0.5)
    table: tuple[PrecisionPoint, ...] = ()

    def probability(self, margin: float) -> float:
        """Calibrated probability of yes, from the margin logit(yes) - logit(no)."""
        x = max(-60.0, min(60.0, self.slope * margin + self.intercept))
        return 1.0 / (1.0 + math.exp(-x))

    def threshold(self, precision: float) -> float | None:
        """Lowest threshold whose measured precision is at least `precision`; None where no row reaches it."""
        reached = [point.threshold for point in self.table if point.precision >= precision - 1e-9]
        return min(reached, default=None)


class Question(_Strict):
    """A yes/no question: yes is evidence for `policy`/`label`. Text by prompt category, then by language."""

    id: Identifier
    policy: Identifier
    label: Identifier
    text: Annotated[dict[str, Texts], Field(min_length=1)]
    calibration: Calibration = Calibration()

    def wording(self, category: str, language: str) -> str:
        """The text for a listing category and a language, falling back to `general` and to English."""
        texts = self.text.get(category) or self.text.get(FALLBACK_CATEGORY) or next(iter(self.text.values()))
        return _localised(texts, language)


class Answers(_Strict):
    """Surface forms of the two answers. Each must be a single token of the bundle's tokenizer."""

    yes: str = "Yes"
    no: str = "No"


class Prompts(_Strict):
    """The prompt library, by language. `attribute` holds the placeholder `{name}`; lettered options follow
    it.
    """

    system: Texts
    describe: Texts
    attribute: Texts
    answers: Answers = Answers()

    def system_in(self, language: str) -> str:
        """System text in a language."""
        return _localised(self.system, language)

    def describe_in(self, language: str) -> str:
        """Instruction to describe the product in a language."""
        return _localised(self.describe, language)

    def attribute_in(self, language: str, name: str) -> str:
        """Question for one attribute in a language, without its options."""
        return _localised(self.attribute, language).replace("{name}", name)


class Detector(_Strict):
    """A detector that runs beside the model, by entry-point name, with its own settings."""

    name: Identifier
    settings: dict[str, Any] = {}


class PixelBudget(_Strict):
    """Pixels that an image is resized to lie between before the vision tower sees it."""

    min_pixels: int = Field(gt=0)
    max_pixels: int = Field(gt=0)


class DescriptionSettings(_Strict):
    """How descriptions are decoded. Temperature 0 (greedy) is the only one: the same image, the same
    words.
    """

    languages: tuple[str, ...] = (FALLBACK_LANGUAGE,)
    max_new_tokens: int = Field(default=64, ge=1, le=1024)
    temperature: Literal[0] = 0


class Manifest(_Strict):
    """What `bundle.yaml` holds."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
    version: Annotated[str, Field(min_length=1, max_length=64)]
    engine: Literal["qwen3-vl"]
    dtype: Literal["float32", "bfloat16"]
    weights_digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    capabilities: tuple[str, ...] = Field(description="Policies that the questions or detectors can judge.")
    questions: tuple[Question, ...]
    attributes: dict[str, tuple[str, ...]]
    prompts: Prompts
    detectors: tuple[Detector, ...] = ()
    pixels: PixelBudget
    description: DescriptionSettings | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Manifest:
        _check_attributes(self.attributes)
        ids = [question.id for question in self.questions]
        if len(set(ids)) != len(ids):
            raise ValueError("questions: two have the same id")
        unlisted = {question.policy for question in self.questions} - set(self.capabilities)
        if unlisted:
            raise ValueError(f"capabilities: add {sorted(unlisted)}, which questions judge")
        if self.pixels.min_pixels > self.pixels.max_pixels:
            raise ValueError("pixels: min_pixels is above max_pixels")
        return self


def _check_attributes(attributes: Mapping[str, Sequence[str]]) -> None:
    if set(attributes) != set(ATTRIBUTES):
        raise ValueError(
            f"attributes: give exactly {', '.join(ATTRIBUTES)}; `[unknown]` for one it cannot see"
        )
    for name, values in attributes.items():
        if UNKNOWN not in values or len(set(values)) != len(values) or len(values) > MAX_OPTIONS:
            raise ValueError(
                f"attributes.{name}: at most {MAX_OPTIONS} different values, `unknown` among them"
            )


@dataclass(frozen=True)
class Bundle:
    """A bundle on disk, checked and measured.

    `digest` and `weights_digest` are SHA-256, 32 bytes, measured over the files as they were at loading.
    """

    folder: Path
    manifest: Manifest
    digest: bytes
    weights_digest: bytes

    @classmethod
    def load(cls, name_or_path: str | Path) -> Bundle:
        """Reads and measures a bundle: a shipped name (`mini`) or a folder. Raises BundleError, in words."""
        folder = _folder(name_or_path)
        manifest = _read_manifest(folder / MANIFEST)
        _refuse_code(folder)
        weights = weight_files(folder)
        weights_digest = measure_weights(weights)
        if weights_digest.hex() != manifest.weights_digest:
            raise BundleError(
                f"{folder}: the weights' SHA-256 is {weights_digest.hex()}, the manifest says "
                f"{manifest.weights_digest}; restore the weights, or correct weights_digest if "
                "you changed them"
            )
        return cls(folder, manifest, measure_folder(folder), weights_digest)

    def threshold(self, question_id: str, precision: float) -> float | None:
        """Lowest calibrated probability at which a question reaches a precision; None where none does.

        Raises KeyError for a question that the bundle does not have.
        """
        for question in self.manifest.questions:
            if question.id == question_id:
                return question.calibration.threshold(precision)
        raise KeyError(question_id)


def shipped() -> tuple[str, ...]:
    """Names of the bundles inside the package."""
    root = Path(__file__).parent / "bundles"
    return tuple(sorted(path.parent.name for path in root.glob(f"*/{MANIFEST}")))


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a bundle, sorted by name. Raises BundleError when there are none."""
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise BundleError(
            f"{folder}: no *.safetensors file; a bundle's weights are safetensors and nothing else"
        )
    return files


def measure_weights(files: Sequence[Path]) -> bytes:
    """SHA-256 over the files' bytes, one after another in the order given."""
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.digest()


def measure_folder(folder: Path) -> bytes:
    """SHA-256 over `name NUL content-sha256` of every file below the folder, sorted by name."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder).as_posix().encode()
        digest.update(name + b"\0" + measure_weights([path]))
    return digest.digest()


def _folder(name_or_path: str | Path) -> Path:
    ours = Path(__file__).parent / "bundles" / str(name_or_path)
    if str(name_or_path) in shipped():
        return ours
    folder = Path(name_or_path)
    if not folder.is_dir():
        names = ", ".join(shipped()) or "none"
        raise BundleError(
            f"{name_or_path}: no such bundle folder, and no shipped bundle of that name ({names})"
        )
    return folder


def _read_manifest(path: Path) -> Manifest:
    if not path.is_file():
        raise BundleError(f"{path}: missing; a bundle folder needs a manifest")
    try:
        return Manifest.model_validate(yaml.safe_load(path.read_text("utf-8")))
    except yaml.YAMLError as error:
        raise BundleError(f"{path}: not YAML: {error}") from error
    except ValidationError as error:
        raise BundleError(f"{path}: " + "; ".join(_words(item) for item in error.errors())) from error


def _words(item: Any) -> str:
    where = ".".join(str(part) for part in item["loc"])
    return f"{where}: {item['msg']}" if where else str(item["msg"])


# What `torch.load` or `trust_remote_code` would execute.
_CODE = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".py", ".pyc", ".so", ".msgpack", ".h5")


def _refuse_code(folder: Path) -> None:
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in _CODE:
            raise BundleError(
                f"{path}: bundles hold data only; convert pickled weights to safetensors, remove code"
            )
    for path in folder.glob("*config*.json"):
        if '"auto_map"' in path.read_text("utf-8"):
            raise BundleError(f"{path}: asks for remote code (auto_map); a bundle may not bring any")
