"""What was trained: two networks, run by onnxruntime, and the directions of shapes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ostiary_moderation.figurative.directions import Directions
from ostiary_moderation.figurative.view import Floats, Pixels, with_contrast

SHIPPED = Path(__file__).with_name("weights")
_NETWORKS = ("places", "inks")
_SCORING = "scoring.json"
_SHAPES = "shapes.npz"
_AT_ONCE = 64


class Networks:
    """Networks and what goes with them: `scoring`, `shapes`, and `ground`, the directions of
    shapes that are seen where no mark is.
    """

    def __init__(self, folder: Path, threads: int) -> None:
        """`threads` for each network. Raises FileNotFoundError where a file of the folder is missing."""
        import onnxruntime

        missing = [name for name in files() if not (folder / name).is_file()]
        if missing:
            raise FileNotFoundError(f"{folder}: has no {', '.join(missing)}")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._sessions = {
            name: onnxruntime.InferenceSession(
                folder / f"{name}.onnx", options, providers=["CPUExecutionProvider"]
            )
            for name in _NETWORKS
        }
        self.scoring: dict[str, Any] = json.loads((folder / _SCORING).read_text("utf-8"))
        with np.load(folder / _SHAPES, allow_pickle=False) as kept:
            mean, matrix, self.ground = (
                kept[name].astype(np.float32) for name in ("mean", "matrix", "ground")
            )
        self.shapes = Directions(mean, matrix)

    def places(self, pixels: Pixels) -> Floats:
        """Height × width × 3, both multiples of 32 → 5 × height/8 × width/8."""
        found: Floats = self._run("places", _signed(pixels[None]))[0]
        return found

    def inks(self, views: Pixels) -> Floats:
        """Views, N × SIDE × SIDE × 3 → how likely each pixel is the mark's, N × SIDE × SIDE."""
        logits = np.clip(self._run("inks", with_contrast(views)), -30, 30)
        return (1.0 / (1.0 + np.exp(-logits))).astype(np.float32)

    def _run(self, name: str, values: Floats) -> Floats:
        session = self._sessions[name]
        parts = [
            session.run(None, {"x": values[first : first + _AT_ONCE]})[0]
            for first in range(0, len(values), _AT_ONCE)
        ]
        found: Floats = np.concatenate(parts)
        return found


def version_in(folder: Path) -> str | None:
    """The version of a folder's networks, which are not loaded for it; None where one is missing."""
    if not all((folder / name).is_file() for name in files()):
        return None
    return str(json.loads((folder / _SCORING).read_text("utf-8"))["version"])


def files() -> tuple[str, ...]:
    """Names of the files that a folder of networks has."""
    return (*(f"{name}.onnx" for name in _NETWORKS), _SCORING, _SHAPES)


def _signed(pixels: NDArray[np.uint8]) -> Floats:
    """(N, H, W, 3) → (N, 3, H, W), -1 to 1."""
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2), np.float32) / np.float32(127.5) - np.float32(1)
