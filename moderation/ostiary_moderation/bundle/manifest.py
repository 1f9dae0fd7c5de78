"""What `bundle.yaml` holds, and what it may not hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from ostiary_moderation.bundle.calibration import ValueCalibration
from ostiary_moderation.bundle.prompts import FALLBACK_CATEGORY, FALLBACK_LANGUAGE, Prompts, Question
from ostiary_moderation.bundle.schema import Identifier, Probability, Strict

MANIFEST = "bundle.yaml"
UNKNOWN = "unknown"
ATTRIBUTES = ("category", "colour", "pattern", "style", "material", "audience", "scene", "styling")
MAX_OPTIONS = 26  # one letter each


class Detector(Strict):
    """A detector that runs beside the model, by entry-point name, with its own settings."""

    name: Identifier
    settings: dict[str, Any] = Field(default_factory=dict)


class _Pixels(Strict):
    min_pixels: int = Field(gt=0)
    max_pixels: int = Field(gt=0)

    @model_validator(mode="after")
    def _upwards(self) -> _Pixels:
        if self.min_pixels > self.max_pixels:
            raise ValueError(f"min_pixels is above max_pixels ({self.min_pixels} > {self.max_pixels})")
        return self


class CloserLook(_Pixels):
    """A second look at more pixels, when a policy question's calibrated probability lies within `low` to
    `high`. Its answers replace the first look's.
    """

    low: Probability = 0.2
    high: Probability = 0.8

    @model_validator(mode="after")
    def _in_order(self) -> CloserLook:
        if self.low > self.high:
            raise ValueError(f"low is above high ({self.low} > {self.high})")
        return self


class PixelBudget(_Pixels):
    """Pixels that an image is resized to lie between before the vision tower sees it."""

    closer: CloserLook | None = None

    @model_validator(mode="after")
    def _closer_is_closer(self) -> PixelBudget:
        if self.closer and self.closer.max_pixels <= self.max_pixels:
            raise ValueError(
                f"closer.max_pixels must be above max_pixels ({self.max_pixels}): a closer look shows more"
            )
        return self


class DescriptionSettings(Strict):
    """How descriptions are decoded.

    `temperature` 0 is greedy: the same image, the same words. `reject`: no description where a question's
    calibrated probability on any image is at or above it, unless asked for all the same.
    """

    languages: Annotated[tuple[str, ...], Field(min_length=1)] = (FALLBACK_LANGUAGE,)
    max_new_tokens: int = Field(default=64, ge=1, le=1024)
    temperature: float = Field(default=0.0, ge=0.0, le=2.0)
    reject: Probability | None = None


class Batching(Strict):
    """How much goes into one forward pass.

    `max_sequences`: rows decoded side by side. `prefill_tokens`: visual and text tokens together.
    """

    max_sequences: int = Field(default=64, ge=1)
    prefill_tokens: int = Field(default=16_384, ge=1)


class LoadPoint(Strict):
    """Measured with so many checks in the engine's hands at once."""

    concurrency: int = Field(ge=1)
    describe: bool
    checks_per_second: float = Field(ge=0.0)
    p50_ms: float = Field(ge=0.0)
    p95_ms: float = Field(ge=0.0)


class CapacityProfile(Strict):
    """What a machine does with this bundle, as `ostiary model profile --write` measured it.

    `import_seconds`: of the libraries, in a new process. `load_seconds`: of the bundle after that, its files
    measured. `pixels`: of the images looked at. `rss_mb`, `gpu_mb`: most memory of the process, in 2^20
    bytes.
    """

    machine: str
    versions: dict[str, str]
    measured: str = Field(description="Date, ISO 8601.")
    threads: int = Field(ge=1)
    pixels: tuple[int, int] = Field(description="Height and width of the first look.")
    import_seconds: float = Field(ge=0.0)
    load_seconds: float = Field(ge=0.0)
    rss_mb: float = Field(ge=0.0)
    gpu_mb: float = Field(default=0.0, ge=0.0)
    points: tuple[LoadPoint, ...]


class Manifest(Strict):
    """What `bundle.yaml` holds."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
    version: Annotated[str, Field(min_length=1, max_length=64)]
    engine: Literal["qwen3-vl"]
    dtype: Literal["float32", "bfloat16", "nf4"]
    weights_digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    capabilities: tuple[str, ...] = Field(description="Policies that the questions or detectors can judge.")
    questions: tuple[Question, ...]
    attributes: dict[str, tuple[str, ...]]
    attribute_floor: dict[str, Probability] = Field(default_factory=dict)
    attribute_calibration: dict[str, ValueCalibration] = Field(default_factory=dict)
    prompts: Prompts
    detectors: tuple[Detector, ...] = ()
    pixels: PixelBudget
    description: DescriptionSettings | None = None
    batching: Batching = Batching()
    capacity: CapacityProfile | None = None

    @property
    def judged(self) -> tuple[str, ...]:
        """Capabilities but for policies none of whose questions is calibrated: no target precision could ever
        make these fire, and silence is no judgement.
        """
        asked = {question.policy for question in self.questions}
        calibrated = {question.policy for question in self.questions if question.calibration.table}
        return tuple(policy for policy in self.capabilities if policy in calibrated or policy not in asked)

    @model_validator(mode="after")
    def _consistent(self) -> Manifest:
        _check_attributes(self.attributes)
        ids = [question.id for question in self.questions]
        if len(set(ids)) != len(ids):
            raise ValueError("questions: two have the same id")
        unlisted = {question.policy for question in self.questions} - set(self.capabilities)
        if unlisted:
            raise ValueError(f"capabilities: add {sorted(unlisted)}, which questions judge")
        if unknown := sorted(set(self.attribute_floor) - set(self.attributes)):
            raise ValueError(f"attribute_floor: {', '.join(unknown)}: no such attribute")
        _check_attribute_calibration(self.attribute_calibration, self.attributes)
        _check_attribute_prompts(self.attributes, self.prompts)
        names = [detector.name for detector in self.detectors]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"detectors: {', '.join(twice)} stands there twice; keep one, with its settings")
        if self.description:
            _check_languages(self.description.languages, self.prompts)
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


def _check_attribute_calibration(
    calibrations: Mapping[str, ValueCalibration], attributes: Mapping[str, Sequence[str]]
) -> None:
    if unknown := sorted(set(calibrations) - set(attributes)):
        raise ValueError(f"attribute_calibration: {', '.join(unknown)}: no such attribute")
    for name, calibration in calibrations.items():
        if unknown := sorted(set(calibration.biases) - set(attributes[name])):
            raise ValueError(
                f"attribute_calibration.{name}.biases: {', '.join(unknown)}: no such value of {name}"
            )


def _check_attribute_prompts(attributes: Mapping[str, Sequence[str]], prompts: Prompts) -> None:
    if FALLBACK_CATEGORY in prompts.attribute:
        return
    seen = [name for name, values in attributes.items() if len(values) > 1]
    if missing := [name for name in seen if name not in prompts.attribute]:
        raise ValueError(
            f"prompts.attribute: has no {', '.join(missing)}; add it, or {FALLBACK_CATEGORY!r} for the rest"
        )


def _check_languages(languages: Sequence[str], prompts: Prompts) -> None:
    """Nobody gets a description in another language than the one that the answer names."""
    there = prompts.describe[FALLBACK_CATEGORY]
    if missing := [language for language in languages if language not in there]:
        raise ValueError(
            f"description.languages: prompts.describe.{FALLBACK_CATEGORY} has no {', '.join(missing)}; "
            "add the prompt, or drop the language"
        )
