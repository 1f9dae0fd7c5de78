"""A detection model of body parts, run by ONNX Runtime: pixels in, parts with their boxes out."""

from ast import literal_eval
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

# In the order of the model's outputs, which the model's file names, too.
PARTS = (
    "female_genitalia_covered",
    "face_female",
    "buttocks_exposed",
    "female_breast_exposed",
    "female_genitalia_exposed",
    "male_breast_exposed",
    "anus_exposed",
    "feet_exposed",
    "belly_covered",
    "feet_covered",
    "armpits_covered",
    "armpits_exposed",
    "face_male",
    "belly_exposed",
    "male_genitalia_exposed",
    "anus_covered",
    "female_breast_covered",
    "buttocks_covered",
)
_SIDE = 320  # of the square that the model looks at
_BOX = 4  # centre x, centre y, width, height
_SAME_PLACE = 0.45  # share of the union that two boxes have in common
_SUREST = 0.9999  # odds must stay finite

Box = tuple[float, float, float, float]
Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a body: its name, the model's confidence in 0 to 1, and left, top, right, bottom in pixels.

    The box may reach out of the image.
    """

    name: str
    confidence: float
    box: Box


class PartsModel:
    """The model, loaded."""

    def __init__(self, path: Path, threads: int) -> None:
        """Load it. Raises ValueError for a file that is no such model."""
        # Imported here: a pod that looks for no bodies does not need it.
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
            names = literal_eval(self._session.get_modelmeta().custom_metadata_map["names"])
        except Exception as error:  # ONNX Runtime's errors have no class in common
            raise ValueError(f"{path} is no model of body parts: {error}") from error
        if tuple(names[index].lower() for index in sorted(names)) != PARTS:
            raise ValueError(f"{path} knows other parts than are understood here: {names}")
        self._input = self._session.get_inputs()[0].name

    def find(self, pixels: NDArray[np.uint8], min_confidence: float) -> list[Part]:
        """The parts that the model is as sure of, the surest first; `pixels` are height × width × 3, sRGB."""
        scale = max(pixels.shape[:2]) / _SIDE
        return parts(self._run(pixels), scale, min_confidence)

    def _run(self, pixels: NDArray[np.uint8]) -> Floats:
        """What the model puts out: one column for each place, rows as in `parts`."""
        (found,) = self._session.run(None, {self._input: framed(pixels)})
        return np.asarray(found[0], np.float32)


def framed(pixels: NDArray[np.uint8]) -> Floats:
    """The image in the corner of a black square, as the model takes it: 1 × 3 × side × side, 0 to 1."""
    height, width = pixels.shape[:2]
    scale = _SIDE / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    square = np.zeros((_SIDE, _SIDE, 3), np.float32)
    square[: size[1], : size[0]] = np.asarray(
        Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR), np.float32
    )
    return np.ascontiguousarray(square.transpose(2, 0, 1)[None] / 255)


def parts(outputs: Floats, scale: float, min_confidence: float) -> list[Part]:
    """The parts in a model's outputs, the surest first, and of boxes at the same place the surest alone.

    Args:
        outputs: a column for each place: centre x and y, width, height, then the confidence of each part.
        scale: pixels of the image in one of the model's.
        min_confidence: parts below are left out.
    """
    confidences = outputs[_BOX:].max(axis=0)
    names = outputs[_BOX:].argmax(axis=0)
    order = np.argsort(-confidences, kind="stable")
    found: list[Part] = []
    for place in order[confidences[order] >= min_confidence]:
        x, y, width, height = (float(value) * scale for value in outputs[:_BOX, place])
        box = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
        if all(_overlap(box, other.box) <= _SAME_PLACE for other in found):
            found.append(Part(PARTS[names[place]], min(float(confidences[place]), _SUREST), box))
    return found


def _overlap(a: Sequence[float], b: Sequence[float]) -> float:
    """Intersection over union."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    common = width * height
    return common / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - common)
