"""SHA-256 over a bundle's files, as they are on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from ostiary_moderation.bundle.errors import BundleError


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
