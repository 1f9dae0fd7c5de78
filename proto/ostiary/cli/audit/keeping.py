"""`ostiary audit evidence`, `erase` and `hold`: looks at what is kept, and says for how long."""

import json
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from ostiary.cli.audit import desk
from ostiary.cli.audit.case_report import as_json as as_document
from ostiary.cli.audit.problem import UsageError
from ostiary.v1.audit_pb2 import CaseEvent

_SUFFIXES = {"image/jpeg": ".jpg", "image/png": ".png"}
_EVIDENCE = (
    "Exit codes: 0 written, 1 it is not shown, 2 usage.\n\nExamples:\n\n"
    "ostiary audit evidence --profile .ostiary/auditor 0193568a-0000-7000-8000-000000000001\n\n"
    "ostiary audit evidence --profile .ostiary/auditor 0193568a-0000-7000-8000-000000000001 --image 1 "
    "--unblurred --reason 'ticket 12' --out seen.jpg"
)
_ERASE = (
    "Exit codes: 0 erased, 1 not erased (a legal hold stands, the gateway could not be asked), 2 usage.\n\n"
    "Example:\n\nostiary audit erase --profile .ostiary/compliance-admin "
    "0193568a-0000-7000-8000-000000000001 --reason 'Article 17, ticket 12'"
)
_HOLD = (
    "Exit codes: 0 on record, 1 not, 2 usage.\n\nExamples:\n\n"
    "ostiary audit hold --profile .ostiary/lead-auditor 0193568a-0000-7000-8000-000000000001 "
    "--reason 'case 7'\n\n"
    "ostiary audit hold --profile .ostiary/lead-auditor 0193568a-0000-7000-8000-000000000001 --release "
    "--reason 'case 7 is closed'"
)
Check = Annotated[str, typer.Argument(metavar="CHECK", help="Identifier of the check.")]
Reason = Annotated[str, typer.Option(metavar="TEXT", help="Why; it stays on record. At most 500 characters.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("evidence", epilog=_EVIDENCE)(evidence)
    app.command("erase", epilog=_ERASE)(erase)
    app.command("hold", epilog=_HOLD)(hold)


def evidence(
    check_id: Check,
    profile: desk.ProfilePath,
    image: Annotated[int, typer.Option(min=0, help="Which image of the check, from 0.")] = 0,
    unblurred: Annotated[bool, typer.Option("--unblurred", help="As it is; needs a reason.")] = False,
    reason: Reason = "",
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="File to write, - for stdout; by default named for the check.",
            show_default=False,
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
    timeout: desk.Timeout = 30.0,
    as_json: AsJson = False,
) -> None:
    """Write an image of a check to a file: blurred, unless asked otherwise. Each view is recorded."""
    if unblurred and not reason.strip():
        desk.fail("evidence", UsageError("--unblurred needs a --reason: say why it has to be seen as it is"))
    if as_json and str(out) == "-":
        desk.fail("evidence", UsageError("--json and --out -: both write to standard output; choose one"))
    if out is not None and str(out) != "-":
        _check_free(out, force=force)
    media_type, data = desk.run(
        "evidence",
        profile,
        timeout,
        lambda calls: calls.evidence(check_id, image, reason, blurred=not unblurred),
    )
    if str(out) == "-":
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    path = out or Path(f"{check_id}-{image}{'' if unblurred else '-blurred'}{_SUFFIXES.get(media_type, '')}")
    if out is None:
        _check_free(path, force=force)
    _write(path, data)
    if as_json:
        told = {"file": str(path), "media_type": media_type, "bytes": len(data), "unblurred": unblurred}
        typer.echo(json.dumps(told, ensure_ascii=False))
    else:
        typer.echo(
            f"{path}: {len(data):,} bytes, {'as it is' if unblurred else 'blurred'}; the view is on record"
        )


def erase(
    check_id: Check,
    profile: desk.ProfilePath,
    reason: Reason,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    timeout: desk.Timeout = 60.0,
    as_json: AsJson = False,
) -> None:
    """Destroy what is kept of a check: its evidence, its record, and what people wrote about it.

    The log keeps its entries, and a tombstone that says who erased it, when and why. There is no way back.
    """
    _check_reason("erase", reason)
    if not yes:
        _confirm(check_id)
    event = desk.run("erase", profile, timeout, lambda calls: calls.erase(check_id, reason))
    _tell(event, f"erased {check_id}: its tombstone is entry {event.log_index} of the log", as_json=as_json)


def hold(
    check_id: Check,
    profile: desk.ProfilePath,
    reason: Reason,
    release: Annotated[bool, typer.Option("--release", help="Lift the hold instead.")] = False,
    timeout: desk.Timeout = 30.0,
    as_json: AsJson = False,
) -> None:
    """Put a check on legal hold, or lift it: while one stands, the check cannot be erased."""
    _check_reason("hold", reason)
    event = desk.run("hold", profile, timeout, lambda calls: calls.hold(check_id, reason, held=not release))
    done = "no longer on legal hold" if release else "on legal hold"
    _tell(event, f"{check_id} is {done}: entry {event.log_index} of the log", as_json=as_json)


def _confirm(check_id: str) -> None:
    if not sys.stdin.isatty():
        desk.fail("erase", UsageError("there is nobody to ask: confirm with --yes"))
    typed = typer.prompt(f"This cannot be undone. Type the check's identifier to erase {check_id}")
    if typed.strip() != check_id:
        desk.fail("erase", UsageError("that is another identifier: nothing was erased"))


def _check_reason(command: str, reason: str) -> None:
    if not reason.strip():
        desk.fail(command, UsageError("--reason is empty: say why, it stays on record"))


def _check_free(path: Path, *, force: bool) -> None:
    if path.is_dir():
        desk.fail("evidence", UsageError(f"--out: {path} is a folder: name a file"))
    if path.exists() and not force:
        remedy = "name another, or write over it with --force"
        desk.fail("evidence", UsageError(f"--out: {path} is there: {remedy}"))


def _write(path: Path, data: bytes) -> None:
    """A file for its owner alone."""
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(data)
    except OSError as error:
        desk.fail("evidence", error)


def _tell(event: CaseEvent, words: str, *, as_json: bool) -> None:
    typer.echo(json.dumps(as_document(event), ensure_ascii=False) if as_json else words)
