"""`ostiary rbac`: check, explain and try who may call what."""

import json as encoder
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ostiary_gateway.cli.ending import fail

if TYPE_CHECKING:
    from ostiary_gateway.rbac.bindings import Holder
    from ostiary_gateway.rbac.roles import Access, Scope
    from ostiary_gateway.rbac.rules import Decision

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Check, explain and try who may call what.",
    epilog=(
        "Examples:\n\n"
        "ostiary rbac lint gateway/roles.yaml — what is wrong with it; exit code 1\n\n"
        "ostiary rbac explain gateway/roles.yaml — which role may call which method\n\n"
        "ostiary rbac explain gateway/roles.yaml --id spiffe://ostiary.local/tenant/demo/role/auditor "
        "--method ModerationService/Check — whether it may, and which rule says so\n\n"
        "ostiary rbac test gateway/roles.yaml — whether its own cases turn out as they say\n\n"
        "ostiary rbac a43 gateway/roles.yaml — the same rules as a gRFC A43 policy"
    ),
)

File = Annotated[
    Path,
    typer.Argument(metavar="FILE", help="roles.yaml, or a gRFC A43 policy.", exists=True, dir_okay=False),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@app.command(epilog="Example: ostiary rbac lint gateway/roles.yaml")
def lint(file: File, json: AsJson = False) -> None:
    """Read a file as a gateway would, its cases included, and say what is wrong.

    Exit codes: 0 nothing, 1 something, 2 usage.
    """
    problems = _problems(file)
    if json:
        typer.echo(encoder.dumps({"file": str(file), "problems": problems}, ensure_ascii=False))
    else:
        for problem in problems:
            typer.echo(f"{file}: {problem}")
        if not problems:
            typer.echo(f"{file}: nothing wrong")
    raise typer.Exit(1 if problems else 0)


@app.command(epilog="Exit codes: 0 allowed, or a table was shown; 3 denied; 1 the file is bad; 2 usage.")
def explain(
    file: File,
    id_: Annotated[str, typer.Option("--id", metavar="SPIFFE-ID", help="Who calls.")] = "",
    method: Annotated[str, typer.Option(metavar="Service/Method", help="What is called.")] = "",
    metadata: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="What the call carries; may be repeated.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Say who may call what, and which rule says so.

    With --id and --method: whether this caller may. With --id: all that it may call. With --method: which
    rules name it. With neither: all rules.
    """
    access = _access(file)
    carried = _metadata(metadata or ())
    if id_:
        _explain_caller(access, id_, _paths(method), carried, as_json=json, one=bool(method))
    else:
        _explain_roles(access, _paths(method), as_json=json)


@app.command("test", epilog="Example: ostiary rbac test gateway/roles.yaml")
def try_cases(file: File, json: AsJson = False) -> None:
    """Try the calls under `cases` of a roles.yaml.

    Exit codes: 0 all turn out as they say, 1 not, or the file is bad, 2 usage.
    """
    access = _access(file)
    failures = list(access.failures())
    if json:
        document = {"file": str(file), "cases": len(access.cases), "failures": failures}
        typer.echo(encoder.dumps(document, ensure_ascii=False))
    else:
        for failure in failures:
            typer.echo(f"{file}: {failure}")
        typer.echo(f"{len(access.cases) - len(failures)} of {len(access.cases)} cases turn out as they say")
    raise typer.Exit(1 if failures else 0)


@app.command(epilog="Example: ostiary rbac a43 gateway/roles.yaml > policy.json")
def a43(file: File) -> None:
    """Print the rules as a gRFC A43 authorization policy, for servers that take one.

    Exit codes: 0, 1 the file is bad or says what such a policy cannot say, 2 usage.
    """
    from ostiary_gateway.rbac.a43 import dump
    from ostiary_gateway.rbac.roles import as_a43

    try:
        document = dump(as_a43(_access(file)))
    except ValueError as error:
        fail(f"{file}: {error}")
    typer.echo(encoder.dumps(document, indent=2, ensure_ascii=False))


def _problems(file: Path) -> list[str]:
    from ostiary_gateway.rbac.roles import load

    try:
        return list(load(file.read_text(encoding="utf-8")).failures())
    except (OSError, ValueError) as error:
        return [str(error)]


def _access(file: Path) -> "Access":
    from ostiary_gateway.rbac.roles import load

    try:
        return load(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        fail(f"{file}: {error}")


def _paths(method: str) -> list[str]:
    """The method's path, or all."""
    from ostiary_gateway.rbac.methods import PATHS, expand

    try:
        return list(expand("--method", [method])) if method else list(PATHS.values())
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def _metadata(given: Iterable[str]) -> dict[str, str]:
    found = {}
    for pair in given:
        key, equals, value = pair.partition("=")
        if not equals:
            raise typer.BadParameter(f"--metadata {pair}: write KEY=VALUE")
        found[key.lower()] = value
    return found


def _explain_caller(
    access: "Access", id_: str, paths: list[str], metadata: dict[str, str], *, as_json: bool, one: bool
) -> None:
    from ostiary.wire.identity import SpiffeId
    from ostiary_gateway.rbac.methods import short
    from ostiary_gateway.rbac.roles import Scope

    try:
        peer = SpiffeId.parse(id_)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    holder = access.holder(peer)
    scope = access.scopes.get(holder.role, Scope()) if holder else Scope()
    decisions = {short(path): access.decide(peer, path, metadata)[0] for path in paths}
    if as_json:
        document: dict[str, Any] = {
            "id": id_,
            "role": holder.role if holder else "",
            "tenant": holder.tenant if holder else "",
            "categories": sorted(scope.categories),
            "territories": sorted(scope.territories),
            "methods": {
                name: {"allowed": decision.allowed, "rule": decision.rule}
                for name, decision in decisions.items()
            },
        }
        typer.echo(encoder.dumps(document, ensure_ascii=False))
    else:
        _print_caller(id_, holder, scope, decisions)
    raise typer.Exit(0 if not one or all(decision.allowed for decision in decisions.values()) else 3)


def _print_caller(
    id_: str, holder: "Holder | None", scope: "Scope", decisions: "dict[str, Decision]"
) -> None:
    role, tenant = (holder.role, holder.tenant) if holder else ("", "")
    typer.echo(f"{id_}: role {role or 'none'}, tenant {tenant or 'none'}")
    for name, values in (("categories", scope.categories), ("territories", scope.territories)):
        if values:
            typer.echo(f"  {name}: {', '.join(sorted(values))} alone")
    for name, decision in decisions.items():
        word = "allowed" if decision.allowed else "denied"
        typer.echo(f"  {word:8} {name}: {decision.rule or 'no rule holds'}")


def _explain_roles(access: "Access", paths: list[str], *, as_json: bool) -> None:
    from ostiary_gateway.rbac.methods import short

    rules: list[dict[str, Any]] = [
        {
            "rule": rule.name,
            "denies": rule in access.policy.deny,
            "callers": _callers(access, rule),
            "methods": [short(path) for path in paths if rule.names(path)],
        }
        for rule in (*access.policy.deny, *access.policy.allow)
        if any(rule.names(path) for path in paths)
    ]
    if as_json:
        typer.echo(encoder.dumps({"rules": rules}, ensure_ascii=False))
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table("rule", "", "callers", "methods")
    for rule in rules:
        word = "denies" if rule["denies"] else "allows"
        row = (str(rule["rule"]), word, "\n".join(rule["callers"]), "\n".join(rule["methods"]))
        table.add_row(*map(escape, row))
    Console().print(table)


def _callers(access: "Access", rule: Any) -> list[str]:
    """Whom a rule speaks of, as the file writes it."""
    bound = [str(binding) for binding in access.bindings or () if binding.role in rule.roles]
    named = [str(pattern) for pattern in rule.principals]
    of = [f"tenant {tenant}" for tenant in sorted(rule.tenants)]
    carrying = [f"{header.key}: {' or '.join(map(str, header.values))}" for header in rule.headers]
    return [*bound, *named, *of, *carrying] or ["everybody with a certificate"]
