"""A product's colour, guessed from the middle of its photograph. Pure; serves as the label to learn."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

COLOURS = (
    "black",
    "white",
    "grey",
    "red",
    "orange",
    "yellow",
    "green",
    "blue",
    "purple",
    "pink",
    "brown",
    "beige",
)


def main_colour(pixels: NDArray[np.uint8]) -> str:
    """The most frequent of COLOURS in the central region of H × W × 3 sRGB pixels."""
    height, width = pixels.shape[:2]
    centre = pixels[height * 3 // 10 : height * 7 // 10, width * 3 // 10 : width * 7 // 10]
    names = classify(centre.reshape(-1, 3))
    return COLOURS[int(np.bincount(names, minlength=len(COLOURS)).argmax())]


def classify(rgb: NDArray[np.uint8]) -> NDArray[np.intp]:
    """Index into COLOURS for each of N × 3 sRGB pixels, by hue, saturation and value."""
    hue, saturation, value = _hsv(rgb.astype(np.float32) / 255.0)
    warm = (hue < 50) | (hue >= 345)
    reddish = (hue < 15) | (hue >= 345)
    rules = [
        ("black", value < 0.22),
        ("white", (saturation < 0.12) & (value > 0.78)),
        ("grey", saturation < 0.15),
        ("beige", warm & (saturation < 0.38) & (value > 0.62) & (hue >= 15) & (hue < 50)),
        ("brown", warm & (value < 0.62) & (saturation < 0.75) & (hue >= 10) & (hue < 50)),
        (
            "pink",
            ((hue >= 310) & (hue < 345) & (value > 0.6)) | (reddish & (saturation < 0.55) & (value > 0.65)),
        ),
        ("red", (hue < 14) | (hue >= 340)),
        ("orange", hue < 42),
        ("yellow", hue < 68),
        ("green", hue < 168),
        ("blue", hue < 258),
        ("purple", hue < 340),
    ]
    return np.select([mask for _, mask in rules], [COLOURS.index(name) for name, _ in rules], default=2)


def _hsv(rgb: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Hue in degrees (0 to 360), saturation and value (0 to 1) of N × 3 values from 0 to 1."""
    value = rgb.max(axis=1)
    spread = value - rgb.min(axis=1)
    safe = np.where(spread > 0, spread, 1)
    red, green, blue = rgb[:, 0], rgb[:, 1], rgb[:, 2]
    sector = np.where(
        value == red,
        (green - blue) / safe,
        np.where(value == green, 2 + (blue - red) / safe, 4 + (red - green) / safe),
    )
    hue = np.where(spread > 0, (sector * 60) % 360, 0)
    saturation = np.where(value > 0, spread / np.where(value > 0, value, 1), 0)
    return hue.astype(np.float32), saturation.astype(np.float32), value
