"""What the `dry-run` commands have in common: recorded checks, decided again by a candidate.

A command gives a function from what is in force to the candidate; everything else is here.
"""

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from ostiary.v1.config_pb2 import ModerationPolicy
    from ostiary_gateway.policy.in_force import PolicyInForce
    from ostiary_gateway.replay import Tally
    from ostiary_gateway.settings import GatewaySettings
    from ostiary_gateway.store.history import History, Period

EXIT_CODES = "Exit codes: 0 no verdict would change, 3 some would, 1 it could not be tried, 2 usage."
_EXIT_SAME, _EXIT_FAILED, _EXIT_USAGE, _EXIT_CHANGES = 0, 1, 2, 3

Config = Annotated[
    Path,
    typer.Option(
        "--config", metavar="FILE", help="gateway.yaml of the gateway whose record is replayed; it may run."
    ),
]
Since = Annotated[str, typer.Option(help="Checks recorded from then on: 2026-11-01, or with time and zone.")]
Until = Annotated[str, typer.Option(help="Checks recorded before then.")]
Tenant = Annotated[str, typer.Option(help="Only this tenant's checks.")]
Limit = Annotated[int, typer.Option(min=0, help="Tell so many of the checks that change; 0: all of them.")]
AsJson = Annotated[
    bool,
    typer.Option("--json", help="Print a JSON object a line for each check that changes, then one of all."),
]
PolicyFile = Annotated[
    Path | None,
    typer.Option(
        "--policy", metavar="FILE", help="A policy to try in place of the one in force.", dir_okay=False
    ),
]

Candidate = Callable[["PolicyInForce"], "PolicyInForce"]


@dataclass(frozen=True)
class Asked:
    """What the command line asks of a dry run, but for the candidate."""

    config: Path
    since: str
    until: str
    tenant: str
    limit: int
    as_json: bool


def dry_run(command: str, asked: Asked, candidate: Candidate) -> NoReturn:
    """Replay the record and tell what would change; ends the command. Nothing is written anywhere.

    Args:
        command: as people call it, for messages: `ostiary rules dry-run`.
        asked: which checks, and how to tell.
        candidate: makes what is tried of what is in force. May raise ValueError, whose words are told.
    """
    from ostiary.wire.process import load_settings
    from ostiary_gateway.settings import GatewaySettings
    from ostiary_gateway.store.history import History

    try:
        period = _period(asked)
        settings = load_settings(GatewaySettings, asked.config, "OSTIARY_GATEWAY_")
    except ValueError as error:
        _fail(command, error, _EXIT_USAGE)
    try:
        before = _in_force(settings)
        after = candidate(before)
        with closing(History(settings.store, period)) as history:
            tally = _replay(history, before, after, asked)
    except ValueError as error:
        _fail(command, error, _EXIT_FAILED)
    raise typer.Exit(_EXIT_CHANGES if tally.verdict_changes else _EXIT_SAME)


def policy_message(policy: Path | None, before: "PolicyInForce") -> "ModerationPolicy":
    """The policy to try as written: what stands in the file, or else what is in force. Raises ValueError."""
    from ostiary.v1.config_pb2 import ModerationPolicy
    from ostiary_gateway.json_mapping import parse_message

    if policy is None:
        message = ModerationPolicy()
        message.CopyFrom(before.message)
        return message
    try:
        return parse_message(policy.read_text(encoding="utf-8"), ModerationPolicy)
    except (OSError, ValueError) as error:
        raise ValueError(f"{policy}: {error}") from error


def _in_force(settings: "GatewaySettings") -> "PolicyInForce":
    """What a gateway with these settings decides by. Raises ValueError."""
    from ostiary_gateway.brand_source import FolderBrandSource, no_brands
    from ostiary_gateway.list_source import FolderListSource, no_lists
    from ostiary_gateway.policy_source import FilePolicySource
    from ostiary_gateway.rules.pack import shipped

    if settings.policy is None or (settings.kubernetes and settings.kubernetes.brands):
        raise ValueError(
            "the gateway's policy or registries are objects of a Kubernetes cluster: put them into files, "
            "and name them as `policy` and `brands` in a copy of gateway.yaml without `kubernetes`"
        )
    lists = FolderListSource(settings.lists).lists if settings.lists else no_lists
    brands = FolderBrandSource(settings.brands).brands if settings.brands else no_brands
    return FilePolicySource(settings.policy, shipped(), time.monotonic, lists, brands).policy()


def _replay(history: "History", before: "PolicyInForce", after: "PolicyInForce", asked: Asked) -> "Tally":
    from ostiary_gateway.cli.dry_run_report import Report, progress
    from ostiary_gateway.replay import Tally, replay

    tally, report = Tally(), Report(asked.limit, as_json=asked.as_json)
    with progress(len(history)) as advance:
        for record in history.records():
            replayed = replay(record, before, after)
            tally.add(replayed)
            report.add(replayed)
            advance()
    report.tell(tally)
    return tally


def _period(asked: Asked) -> "Period":
    from ostiary_gateway.store.history import Period

    return Period(parse_time("--since", asked.since), parse_time("--until", asked.until), asked.tenant)


def parse_time(option: str, text: str) -> datetime | None:
    """An aware time; UTC unless the text names a zone. Raises ValueError."""
    if not text:
        return None
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"{option}: {text!r} is no time: give one such as 2026-11-01T08:00:00Z") from error
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def _fail(command: str, error: Exception, code: int) -> NoReturn:
    typer.echo(f"{command}: {error}", err=True)
    raise typer.Exit(code) from error
