"""`ostiary model`: train and inspect model bundles."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    from ostiary_moderation.bundle import Bundle

app = typer.Typer(help="Train and inspect model bundles.", no_args_is_help=True)


@app.command()
def train(
    photos: Annotated[
        Path, typer.Option(help="Folder with labels.csv (file, label, kids, sender) and the photos.")
    ],
    out: Annotated[
        Path, typer.Option(help="Bundle folder to write. Work files go beside it, to OUT.training.")
    ],
    minutes: Annotated[
        float, typer.Option(min=0, help="Minutes to train for; fewer than spent: export at once.")
    ] = 33,
    seed: Annotated[int, typer.Option(help="Seed of everything that is drawn.")] = 0,
    threads: Annotated[
        int, typer.Option(min=1, help="CPU threads to learn with; drawing takes one core more.")
    ] = 1,
) -> None:
    """Train the embedded bundle from photographs, calibrate it and measure it.

    Resumable: stop it at any time and run the same command again.

    Example: ostiary model train --photos photos --out build/mini --minutes 33
    """
    try:
        from ostiary_moderation.training.run import TrainingRun, make_bundle
    except ModuleNotFoundError as error:
        _fail(f"training needs {error.name}, which serving does not: pip install 'ostiary[moderation,dev]'")
    try:
        make_bundle(TrainingRun(photos, out, minutes, seed, threads), typer.echo)
    except ValueError as error:
        _fail(error)
    typer.echo(f"written: {out}; look at it with: ostiary model inspect {out}")


@app.command()
def inspect(
    bundle: Annotated[str, typer.Argument(help="A shipped name, such as mini, or a bundle folder.")] = "mini",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show a bundle's manifest, its measured digests and what it can judge.

    Example: ostiary model inspect mini --json
    """
    from ostiary_moderation.bundle import Bundle, BundleError

    try:
        loaded = Bundle.load(bundle)
    except BundleError as error:
        _fail(error)
    if as_json:
        typer.echo(json.dumps(_facts(loaded), ensure_ascii=False, indent=2))
    else:
        _print(loaded)


def _facts(bundle: Bundle) -> dict[str, Any]:
    return {
        "folder": str(bundle.folder),
        "digest": bundle.digest.hex(),
        "weights_digest": bundle.weights_digest.hex(),
        "manifest": bundle.manifest.model_dump(mode="json"),
    }


def _print(bundle: Bundle) -> None:
    from rich.console import Console
    from rich.table import Table

    manifest = bundle.manifest
    typer.echo(f"{manifest.name} {manifest.version}  engine {manifest.engine}  dtype {manifest.dtype}")
    typer.echo(f"folder          {bundle.folder}")
    typer.echo(f"digest          {bundle.digest.hex()}")
    typer.echo(f"weights digest  {bundle.weights_digest.hex()}")
    typer.echo(f"judges          {', '.join(manifest.capabilities)}")
    typer.echo(f"detectors       {', '.join(detector.name for detector in manifest.detectors) or 'none'}")
    seen = [name for name, values in manifest.attributes.items() if len(values) > 1]
    typer.echo(f"attributes      {', '.join(seen)}")
    table = Table("question", "policy / label", "precision → threshold (recall)")
    for question in manifest.questions:
        rows = [f"{p.precision:g} → {p.threshold:.4f} ({p.recall:.0%})" for p in question.calibration.table]
        table.add_row(
            question.id, f"{question.policy} / {question.label}", "\n".join(rows) or "not calibrated"
        )
    Console().print(table)


def _fail(error: Exception | str) -> NoReturn:
    typer.echo(f"error: {error}", err=True)
    raise typer.Exit(1)
