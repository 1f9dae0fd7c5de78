"""`ostiary model init` and `inspect`: make a bundle, and look at one."""

from __future__ import annotations

import json
import os
import re
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ostiary_moderation.cli.shared import fail

if TYPE_CHECKING:
    from ostiary_moderation.bundle import Bundle

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


class Dtype(StrEnum):
    """Precisions that a bundle can be loaded in."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    NF4 = "nf4"


def init(
    out: Annotated[Path, typer.Argument(help="Bundle folder to make.")],
    weights: Annotated[
        str,
        typer.Option(help="Folder of a Qwen3-VL checkpoint, or the hub id of one in the local hub cache."),
    ],
    name: Annotated[str, typer.Option(help="Name of the bundle; after the weights unless given.")] = "",
    version: Annotated[str, typer.Option(help="Version of the bundle.")] = "1",
    dtype: Annotated[Dtype, typer.Option(help="Precision to load it in; nf4 is 4-bit.")] = Dtype.BFLOAT16,
    link: Annotated[bool, typer.Option(help="Point to the weight files instead of copying them.")] = False,
) -> None:
    """Make a bundle from a Qwen3-VL checkpoint of any size, with the stock prompt library.

    Nothing is downloaded. The new bundle is not calibrated: its scores are raw until `ostiary model
    calibrate`.
    """
    from ostiary_moderation.bundle import BundleError
    from ostiary_moderation.bundle.creation import NewBundle, create_bundle, suggested_name
    from ostiary_moderation.engines.qwen3_vl.loading import load_processor

    try:
        folder = _checkpoint(weights)
        new = NewBundle(out, folder, name or suggested_name(weights), version, dtype.value, link)
        bundle = create_bundle(new, load_processor)
    except BundleError as error:
        fail(error)
    typer.echo(f"made: {out}, {bundle.manifest.name} {bundle.manifest.version}, digest {bundle.digest.hex()}")
    typer.echo(f"next: ostiary model calibrate {out} --photos DIR; then serve it: bundle: {out} in pod.yaml")


def inspect(
    bundle: Annotated[str, typer.Argument(help="A shipped name, such as mini, or a bundle folder.")] = "mini",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show a bundle's manifest, its measured digests and what it can judge."""
    from ostiary_moderation.bundle import Bundle, BundleError

    try:
        loaded = Bundle.load(bundle)
    except BundleError as error:
        fail(error)
    if as_json:
        typer.echo(json.dumps(_facts(loaded), ensure_ascii=False, indent=2))
    else:
        _print(loaded)


def _checkpoint(weights: str) -> Path:
    """The folder of a checkpoint. Raises BundleError, with the download command, for one that is not
    there.
    """
    from ostiary_moderation.bundle import BundleError

    if Path(weights).is_dir():
        return Path(weights)
    if not _HUB_ID.fullmatch(weights):
        raise BundleError(f"{weights}: no such folder")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(snapshot_download(weights, local_files_only=True))
    except LocalEntryNotFoundError as error:
        raise BundleError(
            f"{weights}: no such folder, and not in the local hub cache; where there is a network, run "
            f"`hf download {weights}`, then this command again (HF_HOME says where the cache is)"
        ) from error


def _facts(bundle: Bundle) -> dict[str, Any]:
    from ostiary_moderation.detector import notices

    return {
        "folder": str(bundle.folder),
        "digest": bundle.digest.hex(),
        "weights_digest": bundle.weights_digest.hex(),
        "judged": list(bundle.manifest.judged),
        "notices": notices(detector.name for detector in bundle.manifest.detectors),
        "manifest": bundle.manifest.model_dump(mode="json"),
    }


def _print(bundle: Bundle) -> None:
    from rich.console import Console
    from rich.table import Table

    from ostiary_moderation.detector import notices

    manifest = bundle.manifest
    names = [detector.name for detector in manifest.detectors]
    typer.echo(f"{manifest.name} {manifest.version}  engine {manifest.engine}  dtype {manifest.dtype}")
    typer.echo(f"folder          {bundle.folder}")
    typer.echo(f"digest          {bundle.digest.hex()}")
    typer.echo(f"weights digest  {bundle.weights_digest.hex()}")
    typer.echo(f"judges          {', '.join(manifest.judged) or 'nothing yet: no question is calibrated'}")
    typer.echo(f"detectors       {', '.join(names) or 'none'}")
    for name, notice in notices(names).items():
        typer.echo(f"notice          {name}: {notice}")
    seen = [name for name, values in manifest.attributes.items() if len(values) > 1]
    typer.echo(f"attributes      {', '.join(seen)}")
    typer.echo(f"prompts for     {', '.join(manifest.prompts.describe)}")
    typer.echo(
        f"describes in    {', '.join(manifest.description.languages) if manifest.description else '–'}"
    )
    typer.echo(f"capacity        {_capacity(bundle)}")
    table = Table("question", "policy / label", "precision → threshold (recall)")
    for question in manifest.questions:
        rows = [f"{p.precision:g} → {p.threshold:.4f} ({p.recall:.0%})" for p in question.calibration.table]
        table.add_row(
            question.id, f"{question.policy} / {question.label}", "\n".join(rows) or "not calibrated"
        )
    Console().print(table)


def _capacity(bundle: Bundle) -> str:
    capacity = bundle.manifest.capacity
    if capacity is None:
        return "not measured: ostiary model profile"
    best = max(point.checks_per_second for point in capacity.points)
    return f"up to {best:g} checks/s, {capacity.rss_mb:g} MB, on {capacity.machine} ({capacity.measured})"
