"""Changes a bundle's manifest in place: all of it or nothing, the old one kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from ostiary_moderation.bundle.errors import BundleError
from ostiary_moderation.bundle.folder import Bundle
from ostiary_moderation.bundle.manifest import MANIFEST, Manifest


def backup_path(bundle: Bundle) -> Path:
    """Where the old manifest goes: beside the folder."""
    return bundle.folder.with_name(f"{bundle.folder.name}.{MANIFEST}.bak")


def rewrite_manifest(bundle: Bundle, change: Callable[[dict[str, Any]], object], backup: Path) -> Bundle:
    """Applies a change to `bundle.yaml` and returns the bundle as it is then, with its new digest.

    The old manifest goes to `backup`, which must lie outside the folder: everything in it is measured.
    Comments in the file are lost. Raises BundleError, leaving the file as it was, where the result is no
    manifest.
    """
    path = bundle.folder / MANIFEST
    if path.resolve().parent in backup.resolve().parents:
        raise BundleError(f"{backup}: lies inside the bundle, where every file counts; give another place")
    before = path.read_text("utf-8")
    data = yaml.safe_load(before)
    change(data)
    try:
        Manifest.model_validate(data)
    except ValueError as error:
        raise BundleError(f"{path}: would not be a manifest any more: {error}") from error
    backup.write_text(before, "utf-8")
    draft = backup.with_name(backup.name + ".new")
    draft.write_text(yaml.safe_dump(data, allow_unicode=True, sort_keys=False, width=110), "utf-8")
    draft.replace(path)
    return Bundle.load(bundle.folder)
