"""`ostiary model eval`: what a bundle can see."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ostiary_moderation.cli.shared import (
    LIMIT,
    PHOTOS,
    SENDERS,
    THREADS,
    Senders,
    choose_photos,
    counter,
    fail,
    load,
    overlays,
    say,
    with_engine,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ostiary_moderation.evaluation import Report
    from ostiary_moderation.evaluation.bounds import Bound

_EXIT_NOT_ENOUGH = 3


def evaluate(
    photos: Annotated[Path, typer.Option(help=PHOTOS)],
    bundle: Annotated[str, typer.Option(help="A shipped name, such as mini, or a bundle folder.")] = "mini",
    colours: Annotated[
        Path | None, typer.Option(help="CSV of file and colour, and pattern, which adds labels.")
    ] = None,
    senders: Annotated[
        Senders,
        typer.Option(help=SENDERS),
    ] = Senders.ALL,
    train_photos: Annotated[
        Path | None, typer.Option(help="Folder like --photos, to fit the linear probe on: a floor.")
    ] = None,
    limit: Annotated[int, typer.Option(min=0, help=LIMIT)] = 0,
    seed: Annotated[int, typer.Option(help="Seed of what is drawn over the photographs.")] = 0,
    threads: Annotated[int, typer.Option(min=1, help=THREADS)] = 1,
    concurrency: Annotated[int, typer.Option(min=1, help="Checks in the engine's hands at once.")] = 16,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    at_least: Annotated[
        list[str] | None, typer.Option(metavar="FIGURE=NUMBER", help="Such as category/top1=0.7; repeatable.")
    ] = None,
    at_most: Annotated[
        list[str] | None,
        typer.Option(metavar="FIGURE=NUMBER", help="Such as prohibited_ads/ece=0.1; repeatable."),
    ] = None,
    report_to: Annotated[
        Path | None,
        typer.Option("--report", metavar="FILE", help="Where to say, in 4 KiB of JSON, whether all holds."),
    ] = None,
) -> None:
    """Measure what a bundle can see, on labelled photographs, through the engine that serves it.

    Attributes are compared with the labels. Policies are measured on every photograph with a prohibited
    overlay and with a benign one: slogan, size, price, look-alike. Figures have 95% intervals, and floors
    beside them.

    Exit codes: 0 measured, and all figures are what was asked for; 3 one is not; 1 it could not be measured.
    """
    from ostiary_moderation.evaluation import Plan, read_labelled
    from ostiary_moderation.evaluation import evaluate as run
    from ostiary_moderation.evaluation.bounds import Bound

    loaded = load(bundle)
    try:
        chosen = choose_photos(photos, colours, loaded, senders, limit)
        probed = read_labelled(train_photos, colours) if train_photos else ()
        bounds = [Bound.parse(one, least=True) for one in at_least or ()]
        bounds += [Bound.parse(one, least=False) for one in at_most or ()]
    except ValueError as error:
        fail(error)
    plan = Plan(seed, concurrency, senders is Senders.HELD_OUT, probed)
    drawn, count = overlays(), counter(3 * len(chosen))
    report = with_engine(loaded, threads, lambda engine: run(engine, loaded, chosen, drawn, plan, count))
    if as_json:
        typer.echo(json.dumps(report.to_json(), ensure_ascii=False, indent=2))
    else:
        _print(report)
    _judge(report, bounds, report_to)


def _judge(report: Report, bounds: Sequence[Bound], report_to: Path | None) -> None:
    """Ends with exit code 3 where a figure is not what was asked for."""
    from ostiary_moderation.evaluation.bounds import gate_report, held_against

    document = report.to_json()
    try:
        held = held_against(document, bounds)
        if report_to is not None:
            report_to.write_text(gate_report(document, held), encoding="utf-8")
    except (ValueError, OSError) as error:
        fail(error)
    wrong = [one for one in held if not one.holds]
    for one in wrong:
        say(f"not enough: {one}")
    if wrong:
        raise typer.Exit(_EXIT_NOT_ENOUGH)


def _print(report: Report) -> None:
    from rich.console import Console

    whose = "that it never learnt from" if report.held_out else "(it may have learnt from some)"
    typer.echo(f"{report.bundle['name']} {report.bundle['version']}, digest {report.bundle['digest']}")
    typer.echo(f"{report.photos} photographs of {report.senders} senders {whose}, seed {report.seed}")
    console = Console()
    for table in report.tables():
        console.print(table)
    if report.not_measured:
        typer.echo(f"not measured, since it cannot be drawn: {', '.join(report.not_measured)}")
