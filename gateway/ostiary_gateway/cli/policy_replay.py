"""`ostiary policy replay`: recorded checks judged by a candidate policy, against a budget of flips."""

import os
import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ostiary_gateway.cli.replay_run import Trial
    from ostiary_gateway.cli.replay_sources import Part
    from ostiary_gateway.rejudging import FlipTally
    from ostiary_gateway.settings import GatewaySettings
    from ostiary_gateway.store.history import Period

_EXIT_FAILED, _EXIT_USAGE, _EXIT_OVER = 1, 2, 3
_BUDGET = re.compile(r"([0-9]{1,9}(?:\.[0-9]+)?)(%?)")
_ALL_PERCENT = 100
_EPILOG = (
    "Exit codes: 0 within the budget, 3 more flips than the budget, 1 it could not be tried, 2 usage.\n\n"
    "Examples:\n\n"
    "ostiary policy replay --policy new.yaml --config gateway/gateway.yaml --since 7d --flip-budget 0.5%\n\n"
    "ostiary policy replay --policy new.yaml --rules packs/ --export cases.jsonl --against old.yaml --json"
)


@dataclass(frozen=True)
class Budget:
    """Most flips that may be: a share of the checks, or a number of them."""

    share: float | None
    count: int

    @classmethod
    def parse(cls, text: str) -> "Budget":
        """`0.5%` or `20`. Raises ValueError."""
        match = _BUDGET.fullmatch(text.strip())
        if not match or (match[2] and float(match[1]) > _ALL_PERCENT) or (not match[2] and "." in match[1]):
            raise ValueError(f"--flip-budget: {text!r} is no budget: give a share such as 0.5%, or a count")
        return cls(float(match[1]) / _ALL_PERCENT, 0) if match[2] else cls(None, int(match[1]))

    def exceeded_by(self, tally: "FlipTally") -> bool:
        """Whether there are more flips."""
        return tally.flips > (self.count if self.share is None else self.share * tally.checks)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("replay", epilog=_EPILOG)(replay)


def replay(
    policy: Annotated[
        Path, typer.Option(metavar="NEW", help="The policy to try.", exists=True, dir_okay=False)
    ],
    config: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="gateway.yaml of the gateway whose record is judged; it may run."),
    ] = None,
    export: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="An export in JSON lines, in place of the gateway's record."),
    ] = None,
    rules: Annotated[
        list[Path] | None,
        typer.Option(
            help="Rule packs to try: a file or a folder; in place of shipped ones of the same name."
        ),
    ] = None,
    brands: Annotated[Path | None, typer.Option(help="Folder of brand registries to try.")] = None,
    lists: Annotated[Path | None, typer.Option(help="Folder of hash lists to try.")] = None,
    against: Annotated[
        list[Path] | None,
        typer.Option(help="Policies that checks were decided under, beside the one in force: it is quicker."),
    ] = None,
    since: Annotated[
        str, typer.Option(help="Checks from then on: 2026-11-01, with time and zone, or 7d.")
    ] = "",
    until: Annotated[str, typer.Option(help="Checks before then.")] = "",
    tenant: Annotated[
        str, typer.Option(help="Only this tenant's checks; of a record, not of an export.")
    ] = "",
    flip_budget: Annotated[
        str, typer.Option(metavar="SHARE|COUNT", help="Most verdicts that may change: 0.5%, or 20.")
    ] = "",
    examples: Annotated[int, typer.Option(min=0, help="Checks to name for each kind of flip.")] = 5,
    workers: Annotated[int, typer.Option(min=0, help="Processes that judge; 0: one for each core.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    report: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Where to say, in 4 KiB of JSON, whether it is within the budget."),
    ] = None,
) -> None:
    """Judge recorded checks by another policy, and count the verdicts that would change. Needs no pod.

    Without --rules, --brands and --lists, those of --config stay. Nothing is written anywhere.
    """
    from ostiary_gateway.cli.flip_report import gate_report, progress, tell
    from ostiary_gateway.cli.replay_run import judge

    if config is None and export is None:
        _fail("give --config for a gateway's record, or --export", _EXIT_USAGE)
    try:
        budget = Budget.parse(flip_budget) if flip_budget else None
        period = _period(since, until, tenant)
    except ValueError as error:
        _fail(str(error), _EXIT_USAGE)
    try:
        settings = _settings(config)
        trial = _trial(policy, settings, rules or [], brands, lists, against or [], examples)
        parts = _parts(settings, export, period)
    except ValueError as error:
        _fail(str(error), _EXIT_FAILED)
    try:
        with progress(sum(part.weight for part in parts)) as done:
            tally = judge(trial, parts, workers or len(os.sched_getaffinity(0)), done)
    except (ValueError, OSError) as error:
        _fail(str(error), _EXIT_FAILED)
    over = budget is not None and budget.exceeded_by(tally)
    if report is not None:
        try:
            report.write_text(gate_report(tally, flip_budget, over=over), encoding="utf-8")
        except OSError as error:
            _fail(str(error), _EXIT_FAILED)
    tell(tally, flip_budget, over=over, as_json=as_json)
    raise typer.Exit(_EXIT_OVER if over else 0)


def _settings(config: Path | None) -> "GatewaySettings | None":
    from ostiary.wire.process import load_settings
    from ostiary_gateway.settings import GatewaySettings

    return load_settings(GatewaySettings, config, "OSTIARY_GATEWAY_") if config else None


def _trial(
    policy: Path,
    settings: "GatewaySettings | None",
    rules: "Sequence[Path]",
    brands: Path | None,
    lists: Path | None,
    against: "Sequence[Path]",
    examples: int,
) -> "Trial":
    """The candidate beside what is in force: what is not tried stays."""
    from ostiary_gateway.cli.replay_run import PolicyFiles, Trial

    held = PolicyFiles(policy, (), settings.lists, settings.brands) if settings else PolicyFiles(policy)
    if settings and settings.kubernetes and settings.kubernetes.brands and brands is None:
        raise ValueError(
            "the gateway's brand registries are objects of a Kubernetes cluster: put them into files, and "
            "name their folder with --brands"
        )
    # A gateway on Kubernetes has its policy as an object: `against` says what was in force.
    known = [settings.policy, *against] if settings and settings.policy else list(against)
    return Trial(
        candidate=replace(held, rules=tuple(rules), lists=lists or held.lists, brands=brands or held.brands),
        known=tuple(replace(held, policy=each) for each in known),
        most_examples=examples,
    )


def _parts(settings: "GatewaySettings | None", export: Path | None, period: "Period") -> "Sequence[Part]":
    from ostiary_gateway.cli.replay_sources import parts_of_export, parts_of_store

    if export is not None:
        return parts_of_export(export, period)
    return parts_of_store(settings.store, period) if settings else []


def _period(since: str, until: str, tenant: str) -> "Period":
    from ostiary.cli.times import parse_time
    from ostiary_gateway.store.history import Period

    now = datetime.now(UTC)
    return Period(parse_time("--since", since, now), parse_time("--until", until, now), tenant)


def _fail(words: str, code: int) -> NoReturn:
    typer.echo(f"ostiary policy replay: {words}", err=True)
    raise typer.Exit(code)
