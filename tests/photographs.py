"""Where the photographs of clothes are that some tests look at; they are no part of the project."""

import os
from pathlib import Path

import pytest

FOLDER = Path(os.environ.get("OSTIARY_PHOTOS", Path(__file__).resolve().parents[2] / "shared/photos"))
needs_photographs = pytest.mark.skipif(
    not (FOLDER / "labels.csv").exists(),
    reason=f"no photographs in {FOLDER}: set OSTIARY_PHOTOS to a folder with labels.csv",
)


def some(count: int) -> list[Path]:
    """`count` photographs spread evenly over all kinds, always the same ones."""
    everything = sorted(FOLDER.glob("*/*.jpg"))
    return everything[:: max(1, len(everything) // count)][:count]
