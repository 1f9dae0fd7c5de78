"""A bundle on disk: found, read, measured, or refused."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from ostiary_moderation.bundle.digest import measure_folder, measure_weights, weight_files
from ostiary_moderation.bundle.errors import BundleError
from ostiary_moderation.bundle.files import check_files, refuse_code, visual_cell
from ostiary_moderation.bundle.manifest import MANIFEST, Manifest
from ostiary_moderation.views import PixelRange, ViewSpec

_SHIPPED = Path(__file__).resolve().parents[1] / "bundles"


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
        refuse_code(folder)
        weights = weight_files(folder)
        check_files(folder)
        _check_pixels(folder, manifest)
        weights_digest = measure_weights(weights)
        if weights_digest.hex() != manifest.weights_digest:
            raise BundleError(
                f"{folder}: the weights' SHA-256 is {weights_digest.hex()}, the manifest says "
                f"{manifest.weights_digest}; restore the weights, or correct weights_digest if "
                "you changed them"
            )
        return cls(folder, manifest, measure_folder(folder), weights_digest)

    def check_digest(self, expected: str) -> None:
        """Raises BundleError where the digest is not `expected`, `sha256:` and hexadecimal."""
        measured = f"sha256:{self.digest.hex()}"
        if measured != expected:
            raise BundleError(
                f"{self.folder}: the bundle's digest is {measured}, and {expected} is to be served: it is "
                "not whole, or another one; bring the right one, or roll a version that names this digest"
            )

    @property
    def view_spec(self) -> ViewSpec:
        """What the model's views of an image look like. Raises BundleError when preprocessor_config.json does
        not say.
        """
        pixels = self.manifest.pixels
        first = PixelRange(pixels.min_pixels, pixels.max_pixels)
        spec = ViewSpec(visual_cell(self.folder), first)
        if pixels.closer is None:
            return spec
        return replace(spec, closer=PixelRange(pixels.closer.min_pixels, pixels.closer.max_pixels))

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
    return tuple(sorted(path.parent.name for path in _SHIPPED.glob(f"*/{MANIFEST}")))


def _folder(name_or_path: str | Path) -> Path:
    if str(name_or_path) in shipped():
        return _SHIPPED / str(name_or_path)
    folder = Path(name_or_path)
    if not folder.is_dir():
        names = ", ".join(shipped()) or "none"
        raise BundleError(
            f"{name_or_path}: no such bundle folder, and no shipped bundle of that name ({names})"
        )
    return folder


def _check_pixels(folder: Path, manifest: Manifest) -> None:
    cell = visual_cell(folder)
    least = cell * cell
    if manifest.pixels.max_pixels < least:
        raise BundleError(
            f"{folder / MANIFEST}: pixels.max_pixels is {manifest.pixels.max_pixels}: one visual token "
            f"covers {cell} × {cell} pixels; give at least {least}"
        )


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
