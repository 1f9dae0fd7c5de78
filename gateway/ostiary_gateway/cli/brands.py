"""`ostiary brands`: check, try, show and put brand registries."""

import json as encoder
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ostiary_gateway.cli import change
from ostiary_gateway.cli import dry_run as shared
from ostiary_gateway.cli.ending import fail

if TYPE_CHECKING:
    from ostiary_gateway.brands.in_force import Registry
    from ostiary_gateway.hashes.problems import Problem
    from ostiary_gateway.policy.in_force import PolicyInForce

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Keep brand registries: whose marks are looked for, and who may sell under them.",
    epilog=(
        "Examples:\n\n"
        "ostiary brands lint gateway/brands — what is wrong, as FILE:LINE: FIELD: REASON; exit code 1\n\n"
        "ostiary brands test gateway/brands --word ACME --seller s7 --territory DE\n\n"
        "ostiary brands put house-brands.yaml --profile stack/compliance-admin --dry-run\n\n"
        "ostiary brands list gateway/brands"
    ),
)

Folder = Annotated[
    Path, typer.Argument(metavar="DIR", help="Folder of registries.", exists=True, file_okay=False)
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
_EXIT = {"NOTE": 0, "REVIEW": 3, "BLOCK": 5}


@app.command(epilog="Example: ostiary brands lint gateway/brands --json")
def lint(folder: Folder, json: AsJson = False) -> None:
    """Read every registry as a gateway would, and say what is wrong. Exit code: 0 nothing, 1 something."""
    registries, problems = _read(folder)
    if json:
        document = {
            "registries": {one.message.name: len(one.message.brands) for one in registries},
            "problems": [
                {"file": problem.file, "line": problem.line, "reason": problem.reason} for problem in problems
            ],
        }
        _print_json(document)
    else:
        for problem in problems:
            typer.echo(f"{folder}/{problem}")
        for one in registries:
            typer.echo(f"{one.title}: {len(one.message.brands):,} brands")
        if not (registries or problems):
            typer.echo("no registries")
    raise typer.Exit(1 if problems else 0)


@app.command("list", epilog="Example: ostiary brands list gateway/brands --json")
def list_(folder: Folder, json: AsJson = False) -> None:
    """Show the brands of a folder's registries."""
    registries, problems = _read(folder)
    if problems:
        fail(f"{folder}/{problems[0]}")
    facts = [each for one in registries for each in _facts(one)]
    if json:
        _print_json(facts)
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("brand", "registry", "words", "marks", "territories", "categories", "authorised")
    for each in facts:
        table.add_row(
            f"{each['name']} ({each['brand']})",
            each["registry"],
            ", ".join(each["words"]),
            str(len(each["marks"])),
            ", ".join(each["territories"]) or "all",
            ", ".join(each["categories"]) or "all",
            str(len(each["authorisations"])),
        )
    Console().print(table)


@app.command(
    "test",
    epilog="Exit code: 0 nothing, or notes alone, 3 REVIEW, 5 BLOCK, 1 an error, 2 a wrong command line.",
)
def try_out(
    folder: Folder,
    word: Annotated[
        list[str] | None, typer.Option(help="Text read in an image; repeat it for several.")
    ] = None,
    mark: Annotated[
        list[str] | None, typer.Option(help="Reference id of a mark seen in an image; repeat it for several.")
    ] = None,
    title: Annotated[str, typer.Option(help="Title of the listing.")] = "",
    claimed_brand: Annotated[str, typer.Option(help="The brand that the seller claims.")] = "",
    seller: Annotated[str, typer.Option(help="Whose listing it is.")] = "",
    category: Annotated[str, typer.Option(help="Its category: apparel, shoes, …")] = "",
    territory: Annotated[str, typer.Option(help="Where it is sold: CN, DE, …")] = "",
    at: Annotated[str, typer.Option(help="As of when, with its zone; now unless given.")] = "",
    policy: Annotated[
        Path | None, typer.Option(help="policy.yaml to judge by; the shipped one unless given.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Say what would be found in a listing with these words and marks, as a gateway would at that time.

    Words are found as the registries write them, and in the spellings that they name; a pod also sees those
    that look alike.
    """
    from ostiary_gateway.brands.in_force import Brands
    from ostiary_gateway.cli.brands_trial import Listed, trial
    from ostiary_gateway.hashes.reading import parse_time

    if not (word or mark or title or claimed_brand):
        raise typer.BadParameter("give --word, --mark, --title or --claimed-brand")
    try:
        when = parse_time(at) if at else datetime.now(UTC)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--at") from error
    registries, problems = _read(folder)
    if problems:
        fail(f"{folder}/{problems[0]}")
    listed = Listed(word or (), mark or (), title, claimed_brand, seller, category, territory)
    try:
        judged_by = _policy(policy)
    except (OSError, ValueError) as error:
        fail(f"{policy}: {error}")
    try:
        findings = trial(listed, when, judged_by.with_brands(Brands.of(registries)))
    except ValueError as error:
        fail(str(error))
    if json:
        _print_json({"at": when.isoformat(), "findings": findings})
    else:
        for each in findings:
            typer.echo(f"{each['action']:6} {each['policy']}/{each['label']}  by {each['source']}")
            typer.echo(f"       {each['reason']}")
        if not findings:
            typer.echo("nothing: no registered mark is among them")
    raise typer.Exit(max((_EXIT[each["action"]] for each in findings), default=0))


@app.command(epilog=change.EXIT_CODES)
def put(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="NAME.yaml or NAME.json of a registry.", exists=True, dir_okay=False
        ),
    ],
    profile: change.ProfileFile,
    dry_run: change.DryRun = False,
    timeout: change.Timeout = 60.0,
    json: AsJson = False,
) -> None:
    """Put a registry in force at a gateway, which writes it to its own folder; it needs a new version."""
    import asyncio

    from ostiary_gateway.brand_source import read_file
    from ostiary_gateway.brands.problems import BadRegistryError
    from ostiary_gateway.cli.admin_calls import put_brand_registry

    try:
        registry = read_file(file)
    except BadRegistryError as error:
        for problem in error.problems:
            typer.echo(f"{file.parent}/{problem}", err=True)
        raise typer.Exit(1) from error
    who = change.load_profile(profile)
    report = asyncio.run(put_brand_registry(who, registry.message, timeout, dry_run=dry_run))
    change.end_with(report, "registry", registry.message.name, as_json=json)


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
    """Decide recorded checks again with the registries of DIR for those in force; tell what would change.

    Nothing is written, and the gateway may run meanwhile. Only marks that pods looked for then can be judged.
    Example: ostiary brands dry-run new-brands --config gateway/gateway.yaml --since 2026-11-01
    """
    asked = shared.Asked(config, since, until, tenant, limit, json)
    shared.dry_run("ostiary brands dry-run", asked, lambda before: _tried(before, folder, policy))


def _tried(before: "PolicyInForce", folder: Path, policy: Path | None) -> "PolicyInForce":
    """What is in force with other registries, and perhaps another policy. Raises ValueError."""
    from ostiary_gateway.brand_source import FolderBrandSource
    from ostiary_gateway.rules.pack import shipped

    tried = before.with_policy(shared.policy_message(policy, before), shipped())
    return tried.with_brands(FolderBrandSource(folder).brands())


@app.command(epilog="Example: ostiary brands galleries --profile stack/compliance-admin")
def galleries(profile: change.ProfileFile, timeout: change.Timeout = 30.0, json: AsJson = False) -> None:
    """Show which marks each pod holds, which it refused, and why a pod lacks them. Exit code 1: one does."""
    import asyncio

    from google.protobuf import json_format

    from ostiary_gateway.cli.admin_calls import list_galleries

    held = asyncio.run(list_galleries(change.load_profile(profile), timeout))
    if json:
        _print_json([json_format.MessageToDict(each, preserving_proto_field_name=True) for each in held])
    else:
        for each in held:
            typer.echo(f"{each.address}  {each.digest.hex()[:16] or 'none'}  {each.problem or 'ok'}")
            for refused in each.refused:
                typer.echo(f"       refused: {refused}")
        if not held:
            typer.echo("no pods")
    raise typer.Exit(1 if any(each.problem for each in held) else 0)


def _read(folder: Path) -> "tuple[list[Registry], list[Problem]]":
    from ostiary_gateway.brand_source import read_folder

    try:
        registries, errors = read_folder(folder, {})
    except OSError as error:
        fail(f"{folder}: {error.strerror}")
    problems = [problem for error in errors for problem in error.problems]
    return list(registries.values()), problems


def _policy(path: Path | None) -> "PolicyInForce":
    """The policy in a file, or the shipped one. Its rule packs take seconds to read, and know no brands."""
    from importlib.resources import files

    from ostiary.v1.config_pb2 import ModerationPolicy
    from ostiary_gateway.json_mapping import parse_message
    from ostiary_gateway.policy.in_force import put_in_force

    given = path or files("ostiary_gateway") / "defaults" / "policy.yaml"
    message = parse_message(given.read_text(encoding="utf-8"), ModerationPolicy)
    message.ClearField("rule_packs")
    return put_in_force(message, {})


def _facts(one: "Registry") -> list[dict[str, Any]]:
    from google.protobuf import json_format

    return [
        {
            "brand": brand.id,
            "name": brand.display_name or brand.id,
            "registry": one.title,
            "words": [word.text for word in brand.words],
            "marks": [mark.reference_id for mark in brand.marks],
            "territories": list(brand.territories),
            "categories": list(brand.categories),
            "authorisations": [
                json_format.MessageToDict(given, preserving_proto_field_name=True)
                for given in brand.authorisations
            ],
        }
        for brand in one.message.brands
    ]


def _print_json(document: object) -> None:
    typer.echo(encoder.dumps(document, ensure_ascii=False))
