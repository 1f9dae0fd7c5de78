"""Tells what a dry run would change: tables for people, JSON lines for programs."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from ostiary.v1.decision_pb2 import Verdict
from ostiary_gateway.replay import Hit, Replayed, Tally


@contextmanager
def progress(checks: int) -> Iterator[Callable[[], None]]:
    """A progress bar on standard error, where that is a terminal."""
    console = Console(stderr=True)
    columns = (TextColumn("replaying"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("replay", total=checks)
        yield lambda: bar.advance(task)


class Report:
    """Tells the checks that change, at most so many, and then what all come to."""

    def __init__(self, limit: int, *, as_json: bool) -> None:
        """`limit`: checks to tell; 0: all."""
        self._limit = limit
        self._as_json = as_json
        self._changed = 0
        self._told: list[Replayed] = []

    def add(self, replayed: Replayed) -> None:
        """Take note of a check. Programs are told at once, people in the end."""
        if not replayed.changes:
            return
        self._changed += 1
        if self._limit and self._changed > self._limit:
            return
        if self._as_json:
            _print_json(_as_json(replayed))
        else:
            self._told.append(replayed)

    def tell(self, tally: Tally) -> None:
        """What all checks come to."""
        if self._as_json:
            _print_json({"summary": _summary(tally, self._changed)})
            return
        _print_verdicts(tally)
        _print_hits(tally)
        for replayed in self._told:
            _print_check(replayed)
        if (left := self._changed - len(self._told)) > 0:
            typer.echo(f"and {left:,} more that change: --limit 0 tells all")


def _print_verdicts(tally: Tally) -> None:
    typer.echo(f"{tally.checks:,} checks; {tally.verdict_changes:,} would be decided otherwise")
    for (before, after), count in sorted(tally.verdicts.items()):
        arrow = "stay" if before == after else f"→ {_name(after)}"
        typer.echo(f"  {_name(before):6} {arrow:9} {count:>9,}")
    if tally.recorded_otherwise:
        typer.echo(
            f"{tally.recorded_otherwise:,} were recorded with another verdict than what is in force now gives"
        )


def _print_hits(tally: Tally) -> None:
    changed = [row for row in _hits(tally) if row["before"] != row["after"]]
    if not changed:
        return
    table = Table("Found by", "Checks before", "Checks after")
    for row in changed:
        table.add_row(row["by"], f"{row['before']:,}", f"{row['after']:,}")
    Console().print(table)


def _print_check(replayed: Replayed) -> None:
    record = replayed.record
    verdicts = f"{_name(replayed.before.verdict)} → {_name(replayed.after.verdict)}"
    typer.echo(
        f"{verdicts:16} {record.check_id}  {record.tenant}  {replayed.decided_at:%Y-%m-%d %H:%M:%S} UTC"
    )
    for sign, hits in (("+", replayed.gained), ("-", replayed.lost)):
        for hit in hits:
            typer.echo(f"  {sign} {hit.action} {hit.policy}/{hit.label} by {hit.by}")


def _summary(tally: Tally, changed: int) -> dict[str, Any]:
    return {
        "checks": tally.checks,
        "verdict_changes": tally.verdict_changes,
        "changes": changed,
        "recorded_otherwise": tally.recorded_otherwise,
        "verdicts": [
            {"before": _name(before), "after": _name(after), "checks": count}
            for (before, after), count in sorted(tally.verdicts.items())
        ],
        "hits": _hits(tally),
    }


def _hits(tally: Tally) -> list[dict[str, Any]]:
    return [
        {"by": by, "before": tally.hits_before[by], "after": tally.hits_after[by]}
        for by in sorted(tally.hits_before | tally.hits_after)
    ]


def _as_json(replayed: Replayed) -> dict[str, Any]:
    return {
        "check": replayed.record.check_id,
        "tenant": replayed.record.tenant,
        "decided_at": replayed.decided_at.isoformat(),
        "recorded": _name(replayed.record.response.verdict),
        "before": _name(replayed.before.verdict),
        "after": _name(replayed.after.verdict),
        "gained": [_hit_as_json(hit) for hit in replayed.gained],
        "lost": [_hit_as_json(hit) for hit in replayed.lost],
    }


def _hit_as_json(hit: Hit) -> dict[str, str]:
    return {"by": hit.by, "policy": hit.policy, "label": hit.label, "action": hit.action}


def _name(verdict: Verdict.ValueType) -> str:
    return Verdict.Name(verdict).removeprefix("VERDICT_")


def _print_json(document: dict[str, Any]) -> None:
    typer.echo(json.dumps(document, ensure_ascii=False))
