"""Tells how many verdicts a candidate changes: tables for people, one JSON object for programs."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from ostiary.cli.check_report import plain
from ostiary.v1.decision_pb2 import Verdict
from ostiary_gateway.rejudging import Flip, FlipTally

_TOLD = 10


@contextmanager
def progress(total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar on standard error, where that is a terminal."""
    console = Console(stderr=True)
    columns = (TextColumn("judging"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("judge", total=total)
        yield lambda weight: bar.advance(task, weight)


def tell(tally: FlipTally, budget: str, *, over: bool, as_json: bool) -> None:
    """What a replay came to, and whether it is within the budget; "" for none."""
    if as_json:
        typer.echo(json.dumps(_document(tally, budget, over=over), ensure_ascii=False))
        return
    typer.echo(f"{tally.checks:,} checks; {tally.flips:,} would be decided otherwise ({tally.rate:.3%})")
    for (before, after), count in sorted(tally.verdicts.items()):
        arrow = "stay" if before == after else f"→ {_name(after)}"
        typer.echo(f"  {_name(before):6} {arrow:9} {count:>9,}")
    for title, counts in (
        ("Label", tally.labels),
        ("Category", tally.categories),
        ("Seller", tally.sellers),
    ):
        _print_counts(title, counts)
    for _, flips in sorted(tally.examples.items()):
        for flip in flips:
            _print_flip(flip)
    if budget:
        typer.echo(f"{'OVER' if over else 'within'} the budget of {budget}")


def gate_report(tally: FlipTally, budget: str, *, over: bool) -> str:
    """One JSON object of less than 4,096 bytes, which Kubernetes carries as a container's termination
    message: `passed`, `words` for people, and the numbers. Nothing was replayed: not passed.
    """
    words = f"{tally.flips:,} of {tally.checks:,} checks would be decided otherwise ({tally.rate:.3%})"
    if budget:
        words += f", {budget} is borne"
    if tally.labels:
        words += "; most of them: " + ", ".join(
            f"{name[:60]} {count:,}" for name, count in tally.labels.most_common(_TOLD)
        )
    passed = not over and tally.checks > 0
    return json.dumps({"passed": passed, "words": words, "checks": tally.checks, "flips": tally.flips})


def _print_counts(title: str, counts: Counter[str]) -> None:
    if not counts:
        return
    table = Table(title, "Flips", box=None, padding=(0, 2, 0, 2))
    for name, count in counts.most_common(_TOLD):
        table.add_row(Text(plain(name) or "(none)"), f"{count:,}")
    if len(counts) > _TOLD:
        table.add_row(f"and {len(counts) - _TOLD:,} more", "")
    Console().print(table)


def _print_flip(flip: Flip) -> None:
    verdicts = f"{_name(flip.before)} → {_name(flip.after)}"
    typer.echo(f"{verdicts:16} {flip.check_id}  {plain(flip.seller)}  {plain(', '.join(flip.labels))}")


def _document(tally: FlipTally, budget: str, *, over: bool) -> dict[str, Any]:
    return {
        "checks": tally.checks,
        "decided_in_full": tally.in_full,
        "flips": tally.flips,
        "rate": tally.rate,
        "budget": budget,
        "over_budget": over,
        "verdicts": [
            {"before": _name(before), "after": _name(after), "checks": count}
            for (before, after), count in sorted(tally.verdicts.items())
        ],
        "labels": dict(tally.labels.most_common()),
        "categories": dict(tally.categories.most_common()),
        "sellers": dict(tally.sellers.most_common()),
        "examples": [_flip(flip) for _, flips in sorted(tally.examples.items()) for flip in flips],
    }


def _flip(flip: Flip) -> dict[str, Any]:
    return {
        "check": flip.check_id,
        "tenant": flip.tenant,
        "seller": flip.seller,
        "category": flip.category,
        "before": _name(flip.before),
        "after": _name(flip.after),
        "labels": list(flip.labels),
    }


def _name(verdict: int) -> str:
    return Verdict.Name(Verdict.ValueType(verdict)).removeprefix("VERDICT_")
