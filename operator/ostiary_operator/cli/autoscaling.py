"""`ostiary operator replay` and `explain`: over the log of the autoscaler's decisions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    from ostiary_operator.autoscaling.log import Entry
    from ostiary_operator.autoscaling.replay import Replayed, Tally
    from ostiary_operator.autoscaling.spec import AutoscalerSpec

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="What the autoscaler decided and why, and what another policy would have decided.",
    epilog=(
        "Examples:\n\n"
        "ostiary operator explain decisions.jsonl --last 3 — the last three decisions in words\n\n"
        "ostiary operator replay decisions.jsonl --policy candidate.yaml — what it would have done last night"
    ),
)

Log = Annotated[Path, typer.Argument(metavar="LOG", help="A decision log, one JSON object a line.")]
Name = Annotated[str, typer.Option(help="Only this autoscaler's decisions.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")]


@app.command(epilog="Example: ostiary operator explain decisions.jsonl --changed --last 10")
def explain(
    log: Log,
    name: Name = "",
    changed: Annotated[bool, typer.Option("--changed", help="Only decisions that changed replicas.")] = False,
    last: Annotated[int, typer.Option(min=0, help="Only so many, the latest; 0: all.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Tell recorded decisions in words: what was read, what it came to, and what held it back.

    Exit codes: 0, 1 the log cannot be read, 2 usage.
    """
    from ostiary_operator.autoscaling.explain import lines

    chosen = [
        entry
        for entry in _entries("explain", log, name)
        if not changed or entry.decision["desired"] != entry.decision["current"]
    ]
    for entry in chosen[-last:]:
        if as_json:
            told = {"name": entry.name, "at": _time(entry.at), "words": list(lines(entry.decision))}
            typer.echo(json.dumps({**told, "decision": entry.decision}, ensure_ascii=False))
            continue
        first, *rest = lines(entry.decision)
        typer.echo("\n".join([f"{_time(entry.at)} {entry.name}: {first}", *rest]))


@app.command(epilog="Example: ostiary operator replay decisions.jsonl --policy candidate.yaml --name mini")
def replay(
    log: Log,
    policy: Annotated[
        Path, typer.Option("--policy", metavar="SPEC", help="A GPUAutoscaler, or its spec, in YAML.")
    ],
    name: Name = "",
    limit: Annotated[int, typer.Option(min=0, help="Tell at most so many decisions that differ.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Decide again on what was recorded, by another policy: what would it have done?

    The pods are the replay's own from the first decision on, ready a cold start after they were asked for,
    and share the recorded work. Nothing is changed.

    Exit codes: 0 the same, 1 the log or the policy cannot be read, 2 usage, 3 other replicas.
    """
    from ostiary_operator.autoscaling.replay import Tally
    from ostiary_operator.autoscaling.replay import replay as run

    spec = _spec(policy)
    tally = Tally()
    told = 0
    for replayed in run(_entries("replay", log, name), spec, tally):
        if replayed.changes and told < limit:
            _tell(replayed, as_json=as_json)
            told += 1
    _tell_tally(tally, told, as_json=as_json)
    raise typer.Exit(3 if tally.changed else 0)


def _entries(command: str, log: Path, name: str) -> Iterator[Entry]:
    """The log's entries; ends the command where it cannot be read."""
    from ostiary_operator.autoscaling.log import BadLog, read

    try:
        with log.open(encoding="utf-8") as file:
            yield from (entry for entry in read(file, str(log)) if name in ("", entry.name))
    except (BadLog, UnicodeDecodeError) as error:
        _fail(f"ostiary operator {command}: {error}", 1)
    except OSError as error:
        _fail(f"ostiary operator {command}: {error}", 2)


def _spec(path: Path) -> AutoscalerSpec:
    """The spec of a file; ends the command where it is none."""
    from ostiary_operator.autoscaling.reading import BadSpec, read_spec

    try:
        return read_spec(path.read_text("utf-8"), str(path))
    except (BadSpec, UnicodeDecodeError) as error:
        _fail(f"ostiary operator replay: {error}", 1)
    except OSError as error:
        _fail(f"ostiary operator replay: {error}", 2)


def _tell(replayed: Replayed, *, as_json: bool) -> None:
    from ostiary_operator.autoscaling.explain import lines

    entry, after = replayed.entry, replayed.after
    before = int(entry.decision["desired"])
    if as_json:
        told: dict[str, Any] = {"name": entry.name, "at": _time(entry.at), "before": before}
        typer.echo(
            json.dumps({**told, "after": after.desired, "decision": after.document()}, ensure_ascii=False)
        )
        return
    typer.echo(f"{_time(entry.at)} {entry.name}: recorded {before}, would be {after.desired}")
    for text in lines(after.document()):
        typer.echo(f"    {text}")


def _tell_tally(tally: Tally, told: int, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"summary": asdict(tally)}))
        return
    if tally.changed > told:
        typer.echo(f"… and {tally.changed - told} more (--limit)")
    typer.echo(
        f"{tally.decisions} decisions, {tally.changed} otherwise. Pod-hours {tally.pod_hours_before:.2f} → "
        f"{tally.pod_hours_after:.2f}, most pods {tally.most_before} → {tally.most_after}; demand beyond "
        f"what the ready pods can carry at {tally.short} decisions."
    )


def _time(at: float) -> str:
    try:
        return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    except (OverflowError, ValueError, OSError):
        return str(at)


def _fail(message: str, code: int) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(code)
