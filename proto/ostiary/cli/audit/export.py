"""`ostiary audit export`: cases for other systems, in a file that is whole or not there."""

import os
import shutil
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import DownloadColumn, Progress, SpinnerColumn, TextColumn, TransferSpeedColumn

from ostiary.cli.audit import desk
from ostiary.cli.audit.calls import AuditCalls
from ostiary.cli.audit.filters import Filters
from ostiary.cli.audit.labelled import Labelled
from ostiary.cli.audit.problem import UsageError
from ostiary.client.retry import RetryPolicy
from ostiary.v1.audit_pb2 import (
    EXPORT_FORMAT_CSV,
    EXPORT_FORMAT_DSA,
    EXPORT_FORMAT_JSON_LINES,
    EXPORT_FORMAT_PARQUET,
    ExportCasesRequest,
)

_PARTIAL = ".partial"
Told = Callable[[int], None]


class FormatOption(StrEnum):
    """What cases are written as."""

    CSV = "csv"
    JSON_LINES = "jsonl"
    PARQUET = "parquet"
    DSA = "dsa"
    FOLDER = "folder"


_FORMATS = {
    FormatOption.CSV: EXPORT_FORMAT_CSV,
    FormatOption.JSON_LINES: EXPORT_FORMAT_JSON_LINES,
    FormatOption.PARQUET: EXPORT_FORMAT_PARQUET,
    FormatOption.DSA: EXPORT_FORMAT_DSA,
    FormatOption.FOLDER: EXPORT_FORMAT_JSON_LINES,
}
_EPILOG = (
    "Exit codes: 0 written, 1 the gateway could not be asked or the file not be written, 2 usage.\n\n"
    "Examples:\n\n"
    "ostiary audit export --profile .ostiary/compliance-admin --format csv --since 30d --out cases.csv\n\n"
    "ostiary audit export --profile .ostiary/compliance-admin --format dsa --since 7d --out reasons.jsonl\n\n"
    "ostiary audit export --profile .ostiary/lead-auditor --format folder --out labelled"
)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("export", epilog=_EPILOG)(export)


def export(
    profile: desk.ProfilePath,
    out: Annotated[
        Path, typer.Option(metavar="FILE", help="File to write, or folder for --format folder; - for stdout.")
    ],
    wanted: Annotated[
        FormatOption, typer.Option("--format", help="dsa: statements of reasons; folder: labelled pictures.")
    ] = FormatOption.CSV,
    verdict: desk.Verdicts = None,
    label: desk.Labels = None,
    seller: desk.Sellers = None,
    brand: desk.Brands = None,
    bundle: desk.Bundles = None,
    policy: desk.Policies = None,
    state: desk.States = None,
    since: desk.Since = "",
    until: desk.Until = "",
    min_score: desk.MinScore = 0.0,
    text: desk.Words = "",
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds for all of it.")] = 3600.0,
) -> None:
    """Write cases to a file, which appears when it is whole. What fails part-way is begun anew."""
    filters = Filters(
        verdicts=verdict or (),
        labels=label or (),
        sellers=seller or (),
        brands=brand or (),
        bundles=bundle or (),
        policies=policy or (),
        states=state or (),
        since=since,
        until=until,
        min_score=min_score,
        text=text,
    )
    request = ExportCasesRequest(search=desk.search_of(filters, "export"), format=_FORMATS[wanted])
    _check_out(out, wanted, force=force)
    desk.run("export", profile, timeout, lambda calls: _export(calls, request, wanted, out))


def _check_out(out: Path, wanted: FormatOption, *, force: bool) -> None:
    folder = wanted == FormatOption.FOLDER
    if str(out) == "-" and folder:
        desk.fail("export", UsageError("--out: a folder cannot go to standard output"))
    if out.exists() and (folder or not force):
        remedy = "name one that is not there" if folder else "name another, or write over it with --force"
        desk.fail("export", UsageError(f"--out: {out} is there: {remedy}"))
    if out.is_dir():
        desk.fail("export", UsageError(f"--out: {out} is a folder: name a file"))


async def _export(calls: AuditCalls, request: ExportCasesRequest, wanted: FormatOption, out: Path) -> None:
    if wanted == FormatOption.FOLDER:
        await _write_folder(calls, request, out)
    elif str(out) == "-":
        # What has gone out cannot be taken back.
        await calls.export(request, _to_stdout, RetryPolicy(attempts=1))
    else:
        await _write_file(calls, request, out)


async def _write_file(calls: AuditCalls, request: ExportCasesRequest, out: Path) -> None:
    staged = out.with_name(out.name + _PARTIAL)
    try:
        with _progress() as told:

            async def take(parts: AsyncIterator[bytes]) -> int:
                with staged.open("wb") as file:
                    async for part in parts:
                        file.write(part)
                        told(file.tell())
                    file.flush()
                    os.fsync(file.fileno())
                    return file.tell()

            written = await calls.export(request, take)
        staged.replace(out)
    finally:
        staged.unlink(missing_ok=True)
    typer.echo(f"{out}: {written:,} bytes", err=True)


async def _to_stdout(parts: AsyncIterator[bytes]) -> None:
    async for part in parts:
        sys.stdout.buffer.write(part)
    sys.stdout.buffer.flush()


async def _write_folder(calls: AuditCalls, request: ExportCasesRequest, out: Path) -> None:
    staged = out.with_name(out.name + _PARTIAL)
    labelled = Labelled(staged, calls)
    try:
        with _progress() as told:
            await calls.export(request, lambda parts: labelled.write(parts, told))
        staged.replace(out)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    typer.echo(f"{out}: {labelled.told()}", err=True)


@contextmanager
def _progress() -> Iterator[Told]:
    """Bytes that have come, on a terminal's standard error; nobody knows how many there will be."""
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("exporting"), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("export", total=None)
        yield lambda done: bar.update(task, completed=done)
