"""`ostiary model`: make, measure, calibrate and train model bundles."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from ostiary_moderation.cli import bundles, calibrating, evaluating, profiling
from ostiary_moderation.cli.shared import fail

app = typer.Typer(
    help="Make, inspect, measure, calibrate and train model bundles.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command(
    epilog="Examples:\n\n"
    "ostiary model init bundles/8b --weights ~/models/Qwen3-VL-8B-Instruct --link\n\n"
    "ostiary model init bundles/8b-nf4 --weights Qwen/Qwen3-VL-8B-Instruct --dtype nf4 — from the hub cache"
)(bundles.init)
app.command(epilog="Example: ostiary model inspect mini --json")(bundles.inspect)
app.command(
    "eval",
    epilog="Examples:\n\n"
    "ostiary model eval --bundle mini --photos photos --senders held-out\n\n"
    "ostiary model eval --bundle bundles/8b --photos photos --colours colours.csv --limit 200 --json\n\n"
    "ostiary model eval --bundle bundles/8b --photos golden --at-least category/top1=0.7",
)(evaluating.evaluate)
app.command(
    epilog="Examples:\n\n"
    "ostiary model calibrate bundles/8b --photos photos\n\n"
    "ostiary model calibrate bundles/8b --answers nudity.csv --prevalence 0.02"
)(calibrating.calibrate)
app.command(
    epilog="Examples:\n\n"
    "ostiary model profile mini --json\n\n"
    "ostiary model profile bundles/8b --p95-ms 2000 --write — store what is found in the bundle"
)(profiling.profile)


@app.command()
def train(
    photos: Annotated[
        Path, typer.Option(help="Folder with labels.csv (file, label, kids, sender) and the photos.")
    ],
    colours: Annotated[
        Path, typer.Option(help="CSV of file, colour and pattern, one row for each of the photos.")
    ],
    out: Annotated[
        Path, typer.Option(help="Bundle folder to write. Work files go beside it, to OUT.training.")
    ],
    minutes: Annotated[
        float, typer.Option(min=0, help="Minutes to train for; fewer than spent: export at once.")
    ] = 90,
    seed: Annotated[int, typer.Option(help="Seed of everything that is drawn.")] = 0,
    threads: Annotated[
        int,
        typer.Option(min=1, help="CPU threads to learn with; drawing takes a part of a core more."),
    ] = 2,
) -> None:
    """Train the embedded bundle from photographs, calibrate it and measure it.

    Resumable: stop it at any time, with Ctrl-C or SIGTERM, and run the same command again.

    Example: ostiary model train --photos photos --colours tests/data/colours.csv --out build/mini
    """
    try:
        from ostiary_moderation.training.run import TrainingRun, make_bundle
    except ModuleNotFoundError as error:
        fail(f"training needs {error.name}, which serving does not: pip install 'ostiary[moderation,dev]'")
    _resumably(lambda: make_bundle(TrainingRun(photos, colours, out, minutes, seed, threads), typer.echo))
    typer.echo(f"written: {out}; look at it with: ostiary model inspect {out}")


@app.command(
    epilog="Example: ostiary model train-marks --photos photos --out build/marks --minutes 180 --threads 2"
)
def train_marks(
    photos: Annotated[Path, typer.Option(help="Folder with labels.csv (file, sender) and the photos.")],
    out: Annotated[Path, typer.Option(help="Folder to write. Work files go beside it, to OUT.training.")],
    minutes: Annotated[
        float, typer.Option(min=0, help="Minutes to learn for; fewer than spent: export at once.")
    ] = 180,
    seed: Annotated[int, typer.Option(help="Seed of everything that is drawn.")] = 0,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads to learn with.")] = 2,
) -> None:
    """Train the networks that find figurative marks, fit their score and write what the detector loads.

    Resumable: stop it at any time, with Ctrl-C or SIGTERM, and run the same command again.
    """
    try:
        from ostiary_moderation.training.marks.run import MarksRun, make_marks
    except ModuleNotFoundError as error:
        fail(f"training needs {error.name}, which serving does not: pip install 'ostiary[moderation,dev]'")
    _resumably(lambda: make_marks(MarksRun(photos, out, minutes, seed, threads), typer.echo))
    typer.echo(f"written: {out}; measure it with: make bench-detectors PARTS=figurative")


def _resumably(work: Callable[[], None]) -> None:
    """Work that may be stopped; what it finds wrong is told in words."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        work()
    except (ValueError, ModuleNotFoundError) as error:
        fail(error)
    except KeyboardInterrupt:
        typer.echo("stopped; the same command goes on from here", err=True)
        raise typer.Exit(130) from None
    finally:
        signal.signal(signal.SIGTERM, before)
