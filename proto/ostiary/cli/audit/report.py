"""Tells people, or programs, how an audit went."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ostiary.cli.audit.locate import Target
from ostiary.cli.audit.problem import Tampered
from ostiary.cli.audit.verify import Progress as Tell
from ostiary.cli.audit.verify import Verified
from ostiary.tlog.note import encode_base64


@contextmanager
def progress_bar(*, hidden: bool) -> Iterator[Tell]:
    """A bar on a terminal's standard error; nothing elsewhere."""
    columns = TextColumn("verifying"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    disable = hidden or not sys.stderr.isatty()
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=disable) as bar:
        task = bar.add_task("verifying", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def tell_verified(target: Target, verified: Verified, *, as_json: bool) -> None:
    """Say what was found in order."""
    checkpoint = verified.checkpoint
    if as_json:
        found = {
            "ok": True,
            "origin": checkpoint.origin,
            "size": checkpoint.size,
            "root": encode_base64(checkpoint.root),
            "decisions": verified.decisions,
            "events": verified.events,
            "checkpoint": verified.note,
        }
        typer.echo(json.dumps(found))
        return
    events = f" and {verified.events} events" if verified.events else ""
    compared = f"; {verified.decisions} decisions{events} in the store match" if target.store else ""
    typer.echo(f"OK  {checkpoint.origin}: {checkpoint.size} entries, signed and complete{compared}")
    typer.echo(f"    root {encode_base64(checkpoint.root)}")
    typer.echo(f"    key  {target.key}")


def tell_tampered(target: Target, problem: Tampered, *, as_json: bool) -> None:
    """Say what was not."""
    if as_json:
        found = {"ok": False, "origin": target.key.name, "problem": str(problem), "entry": problem.entry}
        typer.echo(json.dumps(found))
        return
    typer.secho(f"TAMPERED  {target.key.name}: {problem}", err=True, fg=typer.colors.RED)
