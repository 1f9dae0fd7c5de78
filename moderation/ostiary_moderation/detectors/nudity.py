"""Bare and covered parts of the body, by the model that the nudenet package carries (AGPL-3.0).

Only the package's model file is used; none of its code is imported, and nothing of it is touched before a
bundle asks for this detector. docs/nudity.md says what the labels mean and what was measured.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from pydantic import BaseModel, ConfigDict, Field

from ostiary.v1.observation_pb2 import PolicyScore
from ostiary_moderation.bundle.calibration import Calibration
from ostiary_moderation.detector import DecodedImage, Detections, Example
from ostiary_moderation.detectors.body_parts import Part, PartsModel
from ostiary_moderation.detectors.regions import region

Label = Literal["explicit", "partial", "suggestive", "underwear_swimwear"]
_MODEL_FILE = "320n.onnx"
_LABEL_OF: Mapping[str, Label] = {
    "female_breast_exposed": "explicit",
    "female_genitalia_exposed": "explicit",
    "male_genitalia_exposed": "explicit",
    "anus_exposed": "explicit",
    "buttocks_exposed": "partial",
    "anus_covered": "suggestive",
}
_COVERED = ("female_breast_covered", "female_genitalia_covered", "buttocks_covered")
_BARE = "belly_exposed"
_UNDERWEAR: Label = "underwear_swimwear"


class Curve(BaseModel):
    """From the model's confidence to a probability: sigmoid(slope · logit(confidence) + intercept)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    slope: float = Field(default=1.0, gt=0)
    intercept: float = 0.0


class NuditySettings(BaseModel):
    """Settings of the nudity detector in a bundle."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    min_confidence: float = Field(default=0.25, gt=0, lt=1)
    """Parts that the model is less sure of are left out, as its own package does."""

    calibration: dict[Label, Curve] = {}
    """By label. A label without one keeps the model's confidence, which is not calibrated."""


class NudityDetector:
    """Finds parts of the body, bare and covered; one score per part that speaks for a label."""

    name = "nudity"
    policies = ("nudity",)
    notice = (
        "it runs the model of the nudenet package, which is under the AGPL-3.0: whoever offers it over a "
        "network owes its users the source (section 13); see docs/nudity.md"
    )

    def __init__(self, settings: Mapping[str, Any], threads: int) -> None:
        """Load the model. Raises ValueError for settings that do not fit and for a missing model."""
        self._settings = NuditySettings.model_validate(dict(settings))
        self._model = PartsModel(model_file(), threads)
        self.version = f"nudenet {version('nudenet')} {_MODEL_FILE}"

    def detect(self, images: Sequence[DecodedImage]) -> Detections:
        """Look at the images."""
        return Detections(scores=tuple(score for image in images for score in self._detect_in(image)))

    def _detect_in(self, image: DecodedImage) -> Iterator[PolicyScore]:
        parts = self._model.find(image.pixels, self._settings.min_confidence)
        for label, part in speaking(parts):
            margin = math.log(part.confidence) - math.log1p(-part.confidence)
            curve = self._settings.calibration.get(label, Curve())
            left, top, right, bottom = part.box
            yield PolicyScore(
                policy="nudity",
                label=label,
                question=part.name,
                image_index=image.index,
                probability=Calibration(slope=curve.slope, intercept=curve.intercept).probability(margin),
                margin=margin,
                source=self.name,
                region=region(image, [(left, top), (right, bottom)]),
            )

    def examples(self) -> Iterator[Example]:
        """Two drawn figures, one of them in a bikini, and an image without anybody."""
        seen = PolicyScore(policy="nudity", label=_UNDERWEAR, question="female_genitalia_covered")
        yield Example("a figure in a bikini", _draw(_in_a_bikini), Detections(scores=(seen,)))
        yield Example("a figure in clothes", _draw(_in_clothes))
        yield Example("nobody", np.full((240, 320, 3), 200, np.uint8))


def speaking(parts: Sequence[Part]) -> Iterator[tuple[Label, Part]]:
    """The surest of each part that speaks for a label of the policy, with that label.

    Covered parts alone are ordinary clothes; beside a bare belly they are underwear or swimwear, and no surer
    than either. A bare male chest speaks for nothing.
    """
    surest: dict[str, Part] = {}
    for part in parts:
        if part.name not in surest or part.confidence > surest[part.name].confidence:
            surest[part.name] = part
    for name, label in _LABEL_OF.items():
        if name in surest:
            yield label, surest[name]
    covered = [surest[name] for name in _COVERED if name in surest]
    if covered and _BARE in surest:
        most = max(covered, key=lambda part: part.confidence)
        yield _UNDERWEAR, Part(most.name, min(most.confidence, surest[_BARE].confidence), most.box)


def _draw(dress: Callable[[ImageDraw.ImageDraw], None]) -> NDArray[np.uint8]:
    """A figure of ovals and blocks that `dress` puts something on, 320 × 240 × 3."""
    skin = (240, 200, 175)
    image = Image.new("RGB", (480, 640), "white")
    pen = ImageDraw.Draw(image)
    pen.ellipse((196, 28, 284, 132), fill=skin)
    pen.rectangle((224, 120, 256, 160), fill=skin)
    trunk = (150, 164, 330, 164, 300, 300, 300, 380, 330, 460, 150, 460, 180, 380, 180, 300)
    pen.polygon(trunk, fill=skin)
    for arm in ((150, 164, 120, 360, 140, 364, 180, 220), (330, 164, 360, 360, 340, 364, 300, 220)):
        pen.polygon(arm, fill=skin)
    for leg in ((156, 450, 232, 636), (248, 450, 324, 636)):
        pen.rectangle(leg, fill=skin)
    dress(pen)
    return np.asarray(image.resize((240, 320), Image.Resampling.LANCZOS))


def _in_a_bikini(pen: ImageDraw.ImageDraw) -> None:
    cloth, navel = (200, 30, 60), (150, 90, 80)
    for left in (172, 248):
        pen.ellipse((left, 216, left + 64, 276), fill=cloth)
    pen.polygon((152, 424, 328, 424, 244, 492, 236, 492), fill=cloth)
    pen.ellipse((234, 356, 246, 368), fill=navel)


def _in_clothes(pen: ImageDraw.ImageDraw) -> None:
    pen.rounded_rectangle((144, 160, 336, 390), 20, fill=(40, 74, 132))
    pen.rectangle((150, 380, 330, 636), fill=(52, 50, 48))


def model_file() -> Path:
    """The model in the nudenet package, found without importing it. Raises ValueError where it is not."""
    missing = "the model of nudenet is not installed: pip install 'ostiary[nudenet]', if AGPL-3.0 suits you"
    try:
        spec = find_spec("nudenet")
        version("nudenet")
    except (ImportError, PackageNotFoundError) as error:
        raise ValueError(missing) from error
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        if (path := Path(folder) / _MODEL_FILE).is_file():
            return path
    raise ValueError(missing)
