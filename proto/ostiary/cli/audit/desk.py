"""`ostiary audit list`, `show`, `checkpoint` and `proof`: what a gateway says of its record."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import typer

from ostiary.cli.audit import case_report
from ostiary.cli.audit.calls import AuditCalls, open_calls
from ostiary.cli.audit.earlier import keep_checkpoint
from ostiary.cli.audit.filters import Filters, StateOption, VerdictOption
from ostiary.cli.audit.locate import parse_key
from ostiary.cli.audit.problem import Tampered, UsageError
from ostiary.cli.audit.proofs import check_extends, check_inclusion, read_checkpoint
from ostiary.client import Profile
from ostiary.tlog.note import encode_base64
from ostiary.v1.audit_pb2 import CaseSummary, SearchCasesRequest
from ostiary.wire.errors import OstiaryError
from ostiary.wire.logs import configure_logs

T = TypeVar("T")
_ROWS = 200  # of a table: no more of a long list is in memory at once

ProfilePath = Annotated[
    Path,
    typer.Option(
        "--profile",
        envvar="OSTIARY_PROFILE",
        help="Folder of a role, or its profile.yaml.",
        show_default=False,
    ),
]
Timeout = Annotated[float, typer.Option(min=0.1, help="Seconds per call, with all its retries.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON: an object a line.")]
TrustedKey = Annotated[
    str | None,
    typer.Option(metavar="FILE|KEY", help="The verifier key that you trust, or a file that holds it."),
]
Verdicts = Annotated[list[VerdictOption] | None, typer.Option("--verdict", help="Repeat it for several.")]
Labels = Annotated[list[str] | None, typer.Option("--label", metavar="POLICY/LABEL", help="As of a finding.")]
Sellers = Annotated[list[str] | None, typer.Option("--seller", help="Identifier of the seller.")]
Brands = Annotated[list[str] | None, typer.Option("--brand", help="A brand's id in the registries.")]
Bundles = Annotated[list[str] | None, typer.Option("--bundle", metavar="SHA256", help="Digest of a bundle.")]
Policies = Annotated[list[str] | None, typer.Option("--policy", help="Name and version: default@1.")]
States = Annotated[list[StateOption] | None, typer.Option("--state", help="Where cases stand.")]
Since = Annotated[str, typer.Option(help="Decided from then on: 2026-11-01, with time and zone, or 7d.")]
Until = Annotated[str, typer.Option(help="Decided before then.")]
MinScore = Annotated[float, typer.Option(min=0, max=1, help="Highest score of a finding at least this.")]
Words = Annotated[str, typer.Option("--text", help="Words in the listing's texts or read in its images.")]

_LIST = (
    "Exit codes: 0 told, 1 the gateway could not be asked, 2 usage.\n\nExamples:\n\n"
    "ostiary audit list --profile .ostiary/auditor --verdict BLOCK --since 7d\n\n"
    "ostiary audit list --profile .ostiary/auditor --seller s-17 --limit 0 --json | jq -r .checkId"
)
_SHOW = "Example:\n\nostiary audit show --profile .ostiary/auditor 0193568a-0000-7000-8000-000000000001"
_CHECKPOINT = (
    "Exit codes: 0 in order, 1 it does not extend what was remembered or could not be asked, 2 usage.\n\n"
    "Example:\n\n"
    "ostiary audit checkpoint --profile .ostiary/auditor --vkey .ostiary/gateway/log.vkey --remember newest"
)
_PROOF = (
    "Exit codes: 0 proved, 1 not proved or the gateway could not be asked, 2 usage.\n\nExamples:\n\n"
    "ostiary audit proof --profile .ostiary/auditor --vkey log.vkey 0193568a-0000-7000-8000-000000000001\n\n"
    "ostiary audit proof --profile .ostiary/auditor 42 --size 100 --json"
)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("list", epilog=_LIST)(list_cases)
    app.command("show", epilog=_SHOW)(show)
    app.command("checkpoint", epilog=_CHECKPOINT)(checkpoint)
    app.command("proof", epilog=_PROOF)(proof)


def list_cases(
    profile: ProfilePath,
    verdict: Verdicts = None,
    label: Labels = None,
    seller: Sellers = None,
    brand: Brands = None,
    bundle: Bundles = None,
    policy: Policies = None,
    state: States = None,
    since: Since = "",
    until: Until = "",
    min_score: MinScore = 0.0,
    text: Words = "",
    limit: Annotated[int, typer.Option(min=0, help="Tell so many, the newest first; 0: all.")] = 50,
    timeout: Timeout = 30.0,
    as_json: AsJson = False,
) -> None:
    """Find cases: all conditions hold, and of several values of one kind one must fit."""
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
    search = search_of(filters, "list")
    run("list", profile, timeout, lambda calls: _list(calls, search, limit, as_json=as_json))


def show(
    check_id: Annotated[str, typer.Argument(metavar="CHECK", help="Identifier of the check.")],
    profile: ProfilePath,
    timeout: Timeout = 30.0,
    as_json: AsJson = False,
) -> None:
    """Show a case: its answer, its listing, and what happened since."""
    case = run("show", profile, timeout, lambda calls: calls.case(check_id))
    (case_report.print_json if as_json else case_report.print_case)(case)


def checkpoint(
    profile: ProfilePath,
    vkey: TrustedKey = None,
    remember: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="The log must extend the checkpoint kept there; the newest is kept."
        ),
    ] = None,
    timeout: Timeout = 30.0,
    as_json: AsJson = False,
) -> None:
    """Fetch the newest signed checkpoint of the log."""
    if remember and not vkey:
        fail("checkpoint", UsageError("--remember needs --vkey: what is not verified is not worth keeping"))

    async def fetch(calls: AuditCalls) -> tuple[str, int, int]:
        key = parse_key(vkey) if vkey else None
        note = await calls.checkpoint()
        found = read_checkpoint(note, key)
        extended = await check_extends(calls, key, remember, found) if key and remember else 0
        return note, found.size, extended

    note, size, extended = run("checkpoint", profile, timeout, fetch)
    if remember:
        try:
            keep_checkpoint(remember, note)
        except UsageError as error:
            fail("checkpoint", error)
    if as_json:
        told = {"checkpoint": note, "size": size, "verified": vkey is not None, "extends": extended}
        typer.echo(json.dumps(told))
        return
    typer.echo(note, nl=False)
    if not vkey:
        typer.echo(
            "the signature was not verified: give --vkey log.vkey, from whoever runs the log", err=True
        )
    elif extended:
        typer.echo(f"OK  extends the log of {extended} entries that was remembered", err=True)


def proof(
    what: Annotated[
        str, typer.Argument(metavar="CHECK|ENTRY", help="Identifier of a check, or an entry's index.")
    ],
    profile: ProfilePath,
    vkey: TrustedKey = None,
    size: Annotated[int, typer.Option(min=0, help="Prove it in the log of so many entries; 0: all.")] = 0,
    timeout: Timeout = 30.0,
    as_json: AsJson = False,
) -> None:
    """Fetch the proof that an entry is in the log, and verify it."""

    async def fetch(calls: AuditCalls) -> dict[str, Any]:
        key = parse_key(vkey) if vkey else None
        index, leaf = (int(what), b"") if what.isdecimal() else await _receipt(calls, what)
        found = await calls.inclusion(index, size)
        under = check_inclusion(found, index, leaf, key)
        return {
            "log_index": index,
            "leaf_hash": encode_base64(found.leaf_hash),
            "path": [encode_base64(each) for each in found.path],
            "checkpoint": found.checkpoint,
            "origin": under.origin,
            "size": under.size,
            "verified": key is not None,
        }

    told = run("proof", profile, timeout, fetch)
    if as_json:
        typer.echo(json.dumps(told))
        return
    proved = (
        "proved" if told["verified"] else "proved, but the checkpoint's signature was not verified (--vkey)"
    )
    typer.echo(f"OK  entry {told['log_index']} of {told['origin']}: {proved}")
    typer.echo(f"    leaf  {told['leaf_hash']}")
    for index, each in enumerate(told["path"]):
        typer.echo(f"    {'path' if index == 0 else '    '}  {each}")
    typer.echo(told["checkpoint"], nl=False)


def search_of(filters: Filters, command: str) -> SearchCasesRequest:
    """The request of filters; ends the command where one is wrong."""
    try:
        return filters.request(datetime.now(UTC))
    except ValueError as error:
        fail(command, UsageError(str(error)))


def run(command: str, profile: Path, seconds: float, work: Callable[[AuditCalls], Awaitable[T]]) -> T:
    """What `work` gives; ends the command where that fails."""
    configure_logs("ostiary-audit", "text")
    try:
        known = Profile.load(profile)
    except OstiaryError as error:
        raise typer.BadParameter(str(error), param_hint="--profile") from error

    async def main() -> T:
        async with open_calls(known, seconds) as calls:
            return await work(calls)

    try:
        return asyncio.run(main())
    except (OstiaryError, UsageError, Tampered, OSError) as error:
        fail(command, error)


def fail(command: str, error: Exception) -> NoReturn:
    """Tell what was wrong, and end the command."""
    reason = f"{error.reason.value}: " if isinstance(error, OstiaryError) else ""
    typer.echo(f"ostiary audit {command}: {reason}{error}", err=True)
    raise typer.Exit(2 if isinstance(error, UsageError) else 1) from error


async def _list(calls: AuditCalls, search: SearchCasesRequest, limit: int, *, as_json: bool) -> None:
    rows: list[CaseSummary] = []
    told = 0
    async for case in calls.search(search, limit):
        told += 1
        if as_json:
            case_report.print_json(case)
            continue
        rows.append(case)
        if len(rows) == _ROWS:
            case_report.print_cases(rows)
            rows.clear()
    if rows:
        case_report.print_cases(rows)
    if not as_json and not told:
        typer.echo("no case fits", err=True)
    elif not as_json and told == limit:
        typer.echo(f"the newest {told}; there may be more: --limit 0 tells all", err=True)


async def _receipt(calls: AuditCalls, check_id: str) -> tuple[int, bytes]:
    receipt = (await calls.case(check_id)).response.receipt
    return receipt.log_index, receipt.leaf_hash
