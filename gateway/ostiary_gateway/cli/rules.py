"""`ostiary rules`: check, try and list rule packs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ostiary_gateway.cli import dry_run as shared

if TYPE_CHECKING:
    from ostiary_gateway.policy.in_force import PolicyInForce
    from ostiary_gateway.rules.pack import RulePack

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Check, try and list rule packs, and see what they would have changed.",
    epilog=(
        "Examples:\n\n"
        "ostiary rules lint my-pack.yaml — what is wrong with it, and on which line\n\n"
        "ostiary rules test cn-advertising-law — how its rules do on their own cases\n\n"
        "ostiary rules list --jurisdiction EU — its rules with their articles\n\n"
        "ostiary rules dry-run my-pack.yaml --config gateway/gateway.yaml — what it would have changed"
    ),
)

Packs = Annotated[
    list[str] | None,
    typer.Argument(metavar="[PACK|FILE]…", help="Shipped packs by name, or files; all shipped ones if none."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")]


@app.command(epilog="Example: ostiary rules lint my-pack.yaml")
def lint(
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="Rule packs.")], as_json: AsJson = False
) -> None:
    """Say what is wrong with rule packs: FILE:LINE: why. The gateway refuses such packs.

    Exit codes: 0 nothing wrong, 1 something is, 2 usage.
    """
    from ostiary_gateway.cli.rules_report import tell_lint
    from ostiary_gateway.rules.pack import load
    from ostiary_gateway.rules.problem import BadPack, Problem

    sound = True
    for name, text in _texts("lint", list(map(str, files))):
        problems: Sequence[Problem] = ()
        try:
            load(text)
        except BadPack as bad:
            problems, sound = bad.problems, False
        tell_lint(name, problems, as_json=as_json)
    raise typer.Exit(0 if sound else 1)


@app.command("test", epilog="Example: ostiary rules test diversion my-pack.yaml")
def try_cases(packs: Packs = None, as_json: AsJson = False) -> None:
    """Try the rules on the texts that their packs say they match and leave alone.

    Exit codes: 0 all as the packs say, 1 not, 2 usage.
    """
    from ostiary_gateway.cli.rules_report import tell_lint, tell_trial
    from ostiary_gateway.rules.pack import failures, tried
    from ostiary_gateway.rules.problem import BadPack

    passed = True
    for name, text in _texts("test", packs):
        try:
            pack, cases = tried(text)
        except BadPack as bad:
            tell_lint(name, bad.problems, as_json=as_json)
            passed = False
            continue
        tell_trial(pack, cases, [(name, problem) for problem in failures(text, cases)], as_json=as_json)
        passed = passed and all(case.passed for case in cases)
    raise typer.Exit(0 if passed else 1)


@app.command("list", epilog="Example: ostiary rules list --jurisdiction CN --label medical_claim")
def list_rules(
    packs: Packs = None,
    jurisdiction: Annotated[
        str | None, typer.Option(help="Only this one's rules: CN, US, EU; an empty text for house rules.")
    ] = None,
    label: Annotated[str | None, typer.Option(help="Only rules for this label.")] = None,
    as_json: AsJson = False,
) -> None:
    """List rules with their jurisdictions and articles.

    Exit codes: 0, 1 a pack is bad, 2 usage.
    """
    from ostiary_gateway.cli.rules_report import tell_lint, tell_rules
    from ostiary_gateway.rules.pack import tried
    from ostiary_gateway.rules.problem import BadPack

    found = []
    for name, text in _texts("list", packs):
        try:
            pack, _ = tried(text)
        except BadPack as bad:
            tell_lint(name, bad.problems, as_json=as_json)
            raise typer.Exit(1) from bad
        if jurisdiction in (None, pack.jurisdiction):
            found += [(pack, rule) for rule in pack.rules if label in (None, rule.label)]
    tell_rules(found, as_json=as_json)


@app.command("dry-run", epilog=shared.EXIT_CODES)
def dry_run(
    config: shared.Config,
    packs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[PACK|FILE]…", help="Packs to try, in place of those of the same names or beside them."
        ),
    ] = None,
    policy: shared.PolicyFile = None,
    since: shared.Since = "",
    until: shared.Until = "",
    tenant: shared.Tenant = "",
    limit: shared.Limit = 20,
    as_json: shared.AsJson = False,
) -> None:
    """Decide recorded checks again with other rule packs, or another policy, and tell what would change.

    Nothing is written, and the gateway may run meanwhile. A pack that the policy does not name is tried as if
    it did. Example: ostiary rules dry-run my-pack.yaml --config gateway/gateway.yaml --since 2026-11-01
    """
    if not packs and policy is None:
        raise typer.BadParameter("give a pack or --policy to try: what is in force changes nothing")
    candidates = _candidates(packs or [])
    asked = shared.Asked(config, since, until, tenant, limit, as_json)
    shared.dry_run("ostiary rules dry-run", asked, lambda before: _tried(before, candidates, policy))


def _candidates(names: Sequence[str]) -> "dict[str, RulePack]":
    """The packs to try, by name; ends the command where one is bad."""
    from ostiary_gateway.cli.rules_report import tell_lint
    from ostiary_gateway.rules.pack import load
    from ostiary_gateway.rules.problem import BadPack

    found = {}
    for name, text in _texts("dry-run", names) if names else []:
        try:
            pack = load(text)
        except BadPack as bad:
            tell_lint(name, bad.problems, as_json=False)
            raise typer.Exit(1) from bad
        found[pack.name] = pack
    return found


def _tried(
    before: "PolicyInForce", candidates: "Mapping[str, RulePack]", policy: Path | None
) -> "PolicyInForce":
    """What is in force with other packs, and perhaps another policy. Raises ValueError."""
    from ostiary_gateway.rules.pack import shipped

    message = shared.policy_message(policy, before)
    message.rule_packs.extend(name for name in candidates if name not in message.rule_packs)
    return before.with_policy(message, {**shipped(), **candidates})


def _texts(command: str, names: Sequence[str] | None) -> list[tuple[str, str]]:
    """Name and text of each pack that is asked for; ends the command where one cannot be read."""
    from ostiary_gateway.rules.pack import shipped_texts

    shipped = shipped_texts()
    try:
        return [
            (name, shipped.get(f"{name}.yaml") or Path(name).read_text(encoding="utf-8"))
            for name in names or [file.removesuffix(".yaml") for file in shipped]
        ]
    except (OSError, UnicodeDecodeError) as error:
        typer.echo(f"ostiary rules {command}: {error}", err=True)
        raise typer.Exit(2) from error
