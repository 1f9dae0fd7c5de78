"""`ostiary lists`: check, show, fill and ask the lists of known images."""

import json as encoder
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ostiary_gateway.cli import change
from ostiary_gateway.cli import dry_run as shared
from ostiary_gateway.cli.ending import fail

if TYPE_CHECKING:
    from ostiary.v1.admin_pb2 import HashList
    from ostiary_gateway.hashes.importing import Imported
    from ostiary_gateway.hashes.in_force import Hit, ListInForce
    from ostiary_gateway.hashes.problems import Problem
    from ostiary_gateway.policy.in_force import PolicyInForce

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Keep lists of known images: NAME.yaml says what a list is, NAME.csv has its entries.",
    epilog=(
        "Examples:\n\n"
        "ostiary lists import fakes.csv lists/known-fakes --kind pdq --action block "
        "--policy logo_infringement --label unauthorised_brand\n\n"
        "ostiary lists lint lists — what is wrong, as FILE:LINE: REASON; exit code 1\n\n"
        "ostiary lists list lists\n\n"
        "ostiary lists lookup lists f8f8f0cee0f4a84f06370a22038f63f0b36e2ed596621e1d33e6b39c4e9c9b22\n\n"
        "ostiary lists put lists/known-fakes --profile stack/compliance-admin --dry-run\n\n"
        "ostiary lists dry-run new-lists --config gateway/gateway.yaml — what they would have changed"
    ),
)

_MOST_SHOWN = 20
_LARGEST = 5 * 1024 * 1024 - 1024  # bytes that a gateway takes in one message, less what stands around a list
_EXIT = {"NOTE": 0, "REVIEW": 3, "BLOCK": 5}


class Kind(StrEnum):
    """Kinds of hash."""

    PDQ = "pdq"
    SHA256 = "sha256"


class Act(StrEnum):
    """What a match asks for."""

    BLOCK = "block"
    REVIEW = "review"
    ALLOW = "allow"


Folder = Annotated[Path, typer.Argument(metavar="DIR", help="Folder of lists.", exists=True, file_okay=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@app.command(epilog="Example: ostiary lists lint gateway/lists --json")
def lint(folder: Folder, json: AsJson = False) -> None:
    """Read every list as a gateway would, and say what is wrong. Exit code: 0 nothing, 1 something."""
    lists, problems = _read(folder)
    if json:
        document = {
            "lists": {one.header.name: len(one) for one in lists},
            "problems": [
                {"file": problem.file, "line": problem.line, "reason": problem.reason} for problem in problems
            ],
        }
        typer.echo(encoder.dumps(document, ensure_ascii=False))
    else:
        for problem in problems:
            typer.echo(f"{folder}/{problem}")
        for one in lists:
            typer.echo(f"{one.header.title}: {len(one):,} entries")
        if not (lists or problems):
            typer.echo("no lists")
    raise typer.Exit(1 if problems else 0)


@app.command("list", epilog="Example: ostiary lists list gateway/lists")
def list_(folder: Folder, json: AsJson = False) -> None:
    """Show the lists of a folder."""
    lists, problems = _read(folder)
    if problems:
        fail(f"{folder}/{problems[0]}")
    if json:
        typer.echo(encoder.dumps([_facts(one) for one in lists], ensure_ascii=False))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("list", "kind", "asks for", "policy / label", "distance", "entries", "source")
    for one in lists:
        facts = _facts(one)
        speaks_for = f"{facts['policy']} / {facts['label'] or 'all'}"
        row = (facts["list"], facts["kind"], facts["asks_for"], speaks_for, facts["max_distance"])
        table.add_row(*map(str, row), f"{facts['entries']:,}", facts["source"])
    Console().print(table)


@app.command("import", epilog="Example: ostiary lists import signals.json lists/shared --kind pdq --replace")
def import_(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="CSV with a `hash` column, or a ThreatExchange export: JSON, CSV, or lines.",
            exists=True,
            dir_okay=False,
        ),
    ],
    out: Annotated[Path, typer.Argument(metavar="DIR/NAME", help="The list to write.")],
    kind: Annotated[Kind, typer.Option(help="Which hashes to take.")],
    action: Annotated[Act | None, typer.Option(help="What a match asks for.")] = None,
    policy: Annotated[str, typer.Option(help="Policy that a match speaks for.")] = "",
    label: Annotated[str, typer.Option(help="Label that a match is a finding of.")] = "",
    max_distance: Annotated[
        int | None, typer.Option(help="Largest distance in bits, 0 to 31; 31 for PDQ unless given.")
    ] = None,
    source: Annotated[str, typer.Option(help="Where entries come from that do not say so.")] = "",
    version: Annotated[str, typer.Option(help="Version of the list; the time of day unless given.")] = "",
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace a list; what it is stays, but for what is given.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Make a list of a file. Nothing is written where an entry cannot be used.

    Signals of other kinds, deleted ones and those that the exchange does not call bad are left out, counted.
    """
    from ostiary_gateway.durable import replace_file
    from ostiary_gateway.hashes.header import check_header
    from ostiary_gateway.hashes.importing import import_entries
    from ostiary_gateway.hashes.writing import entries_text, header_text

    header_file = out.with_name(f"{out.name}.yaml")
    given = _Given(kind, action, policy, label, max_distance, source, version)
    try:
        if header_file.exists() and not replace:
            raise ValueError(
                f"{header_file} exists: a list of this name is there; give --replace, or another"
            )
        message = _message(out.name, header_file, given)
        check_header(message)
        # Spreadsheets begin what they save with a byte order mark.
        found = import_entries(str(file), file.read_text(encoding="utf-8-sig"), kind.value)
        out.parent.mkdir(parents=True, exist_ok=True)
        replace_file(out.with_name(f"{out.name}.csv"), entries_text(found.entries).encode())
        replace_file(header_file, header_text(message).encode())
    except UnicodeDecodeError as error:
        fail(f"{file}: not UTF-8 text ({error.reason} at byte {error.start})")
    except (OSError, ValueError) as error:
        fail(str(error))
    _tell_imported(f"{message.name}@{message.version}", found, json)


@app.command(epilog="Exit code: 0 unknown or allowed, 3 REVIEW, 5 BLOCK, 1 an error, 2 a wrong command line.")
def lookup(
    folder: Folder,
    hash: Annotated[str, typer.Argument(metavar="HASH", help="64 hexadecimal digits.")],  # noqa: A002
    kind: Annotated[Kind | None, typer.Option(help="Ask lists of this kind alone.")] = None,
    seller: Annotated[str, typer.Option(help="Whose listing it is.")] = "",
    tenant: Annotated[str, typer.Option(help="Whose seller that is.")] = "",
    at: Annotated[str, typer.Option(help="As of when, with its zone; now unless given.")] = "",
    json: AsJson = False,
) -> None:
    """Say which lists know a hash, by which entries, and whether these hold for a seller at a time."""
    from ostiary_gateway.hashes.reading import parse_hash, parse_time

    try:
        wanted = parse_hash(hash)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    try:
        when = parse_time(at) if at else datetime.now(UTC)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--at") from error
    lists, problems = _read(folder)
    if problems:
        fail(f"{folder}/{problems[0]}")
    asked = [one for one in lists if kind is None or one.header.kind == kind.value]
    matches = [_match(one, hit, seller, when, tenant) for one in asked for hit in one.near(wanted)]
    if json:
        typer.echo(encoder.dumps({"hash": wanted.hex(), "matches": matches}, ensure_ascii=False))
    else:
        _print_matches(matches)
    raise typer.Exit(max((_EXIT[match["asks_for"]] for match in matches if match["holds"]), default=0))


@app.command(epilog=change.EXIT_CODES)
def put(
    named: Annotated[
        Path, typer.Argument(metavar="DIR/NAME", help="The list in NAME.yaml and NAME.csv of a folder.")
    ],
    profile: change.ProfileFile,
    dry_run: change.DryRun = False,
    timeout: change.Timeout = 60.0,
    json: AsJson = False,
) -> None:
    """Put a list in force at a gateway, which writes it to its own folder; it needs a new version.

    One call has room for some 50,000 entries: write larger lists to the gateway's folder.
    Example: ostiary lists put lists/known-fakes --profile stack/compliance-admin
    """
    import asyncio

    from ostiary_gateway.cli.admin_calls import put_hash_list
    from ostiary_gateway.hashes.messages import message_of
    from ostiary_gateway.hashes.problems import BadListError
    from ostiary_gateway.list_source import read_files

    # As tab completion gives it: either file stands for the list.
    named = named.with_suffix("") if named.suffix in {".yaml", ".csv"} else named
    try:
        message = message_of(read_files(named.parent, named.name))
    except BadListError as error:
        for problem in error.problems:
            typer.echo(f"{named.parent}/{problem}", err=True)
        raise typer.Exit(1) from error
    if message.ByteSize() > _LARGEST:
        fail(
            f"{named}: {len(message.entries):,} entries are more than one call has room for: "
            "write the list's two files to the gateway's own folder of lists"
        )
    who = change.load_profile(profile)
    report = asyncio.run(put_hash_list(who, message, timeout, dry_run=dry_run))
    change.end_with(report, "list", message.name, as_json=json)


@app.command("dry-run", epilog=shared.EXIT_CODES)
def dry_run(
    folder: Folder,
    config: shared.Config,
    policy: shared.PolicyFile = None,
    since: shared.Since = "",
    until: shared.Until = "",
    tenant: shared.Tenant = "",
    limit: shared.Limit = 20,
    json: AsJson = False,
) -> None:
    """Decide recorded checks again with the lists of DIR in place of those in force; tell what would change.

    Nothing is written, and the gateway may run meanwhile. Entries count as they did when each check was made.
    Example: ostiary lists dry-run new-lists --config gateway/gateway.yaml --since 2026-11-01
    """
    asked = shared.Asked(config, since, until, tenant, limit, json)
    shared.dry_run("ostiary lists dry-run", asked, lambda before: _tried(before, folder, policy))


def _tried(before: "PolicyInForce", folder: Path, policy: Path | None) -> "PolicyInForce":
    """What is in force with other lists, and perhaps another policy. Raises ValueError."""
    from ostiary_gateway.list_source import FolderListSource
    from ostiary_gateway.rules.pack import shipped

    tried = before.with_policy(shared.policy_message(policy, before), shipped())
    return tried.with_lists(FolderListSource(folder).lists())


@dataclass(frozen=True)
class _Given:
    """What the command line says of a list; empty where it says nothing."""

    kind: Kind
    action: Act | None
    policy: str
    label: str
    max_distance: int | None
    source: str
    version: str


def _message(name: str, header_file: Path, given: _Given) -> "HashList":
    """What the list is: as it was, but for what is given."""
    from ostiary.v1.admin_pb2 import HashKind, HashList
    from ostiary.v1.decision_pb2 import Action
    from ostiary_gateway.json_mapping import parse_message

    message = HashList(name=name)
    if header_file.exists():
        message = parse_message(header_file.read_text(encoding="utf-8"), HashList)
    message.kind = HashKind.Value(f"HASH_KIND_{given.kind.name}")
    if given.action is not None:
        actions = {Act.BLOCK: Action.ACTION_BLOCK, Act.REVIEW: Action.ACTION_REVIEW}
        message.action = actions.get(given.action, Action.ACTION_NOTE)
    message.policy = given.policy or message.policy
    message.label = given.label or message.label
    message.source = given.source or message.source
    if given.max_distance is not None:
        message.max_distance = given.max_distance
    message.version = given.version or f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    return message


def _read(folder: Path) -> "tuple[list[ListInForce], list[Problem]]":
    from ostiary_gateway.list_source import read_folder

    try:
        lists, errors = read_folder(folder, {})
    except OSError as error:
        fail(f"{folder}: {error.strerror}")
    problems = [problem for error in errors for problem in error.problems]
    return [one.list for one in lists.values()], problems


def _asks_for(one: "ListInForce") -> str:
    from ostiary.v1.decision_pb2 import Action

    return Action.Name(one.header.action).removeprefix("ACTION_")


def _facts(one: "ListInForce") -> dict[str, Any]:
    header = one.header
    return {
        "list": header.title,
        "kind": header.kind,
        "asks_for": _asks_for(one),
        "policy": header.policy,
        "label": header.label,
        "max_distance": header.max_distance,
        "source": header.source,
        "entries": len(one),
        "sha256": one.digest.hex(),
    }


def _match(one: "ListInForce", hit: "Hit", seller: str, at: datetime, tenant: str) -> dict[str, Any]:
    entry = hit.entry
    return {
        "list": one.header.title,
        "kind": one.header.kind,
        "asks_for": _asks_for(one),
        "policy": one.header.policy,
        "label": one.header.label,
        "distance": hit.distance,
        "hash": entry.hash.hex(),
        "source": entry.source or one.header.source,
        "seller": entry.seller,
        "tenant": entry.tenant,
        "expires_at": entry.expires_at.isoformat() if entry.expires_at else None,
        "note": entry.note,
        "holds": entry.holds(seller, at, tenant),
    }


def _print_matches(matches: list[dict[str, Any]]) -> None:
    if not matches:
        typer.echo("unknown to the lists")
    for match in matches[:_MOST_SHOWN]:
        facts = [match["source"], match["seller"] and f"for {match['seller']}"]
        facts += [match["expires_at"] and f"until {match['expires_at']}", match["note"]]
        state = "" if match["holds"] else "  does not hold"
        typer.echo(
            f"{match['asks_for']:6} {match['list']}  distance {match['distance']}  {match['hash']}{state}"
        )
        if told := ", ".join(fact for fact in facts if fact):
            typer.echo(f"       {told}")
    if len(matches) > _MOST_SHOWN:
        typer.echo(f"and {len(matches) - _MOST_SHOWN:,} more")


def _tell_imported(title: str, found: "Imported", as_json: bool) -> None:
    if as_json:
        document = {"list": title, "entries": len(found.entries), "left_out": dict(found.left_out)}
        typer.echo(encoder.dumps(document, ensure_ascii=False))
        return
    typer.echo(f"{title}: {len(found.entries):,} entries")
    for reason, count in found.left_out.items():
        typer.echo(f"left out: {count:,} {reason}")
