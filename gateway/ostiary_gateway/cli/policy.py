"""`ostiary policy`: check, explain and try moderation policies."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from ostiary_gateway.cli import policy_replay

if TYPE_CHECKING:
    from ostiary_gateway.policy.in_force import PolicyInForce
    from ostiary_gateway.policy.lint import Linted

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Check, explain and try moderation policies.",
    epilog=(
        "Examples:\n\n"
        "ostiary policy lint gateway/policy.yaml — what is wrong with it, as FILE:LINE: WHY; exit code 1\n\n"
        "ostiary policy explain gateway/policy.yaml — what happens for each label, and for each failure\n\n"
        "ostiary policy explain gateway/policy.yaml --label explicit --category swimwear\n\n"
        "ostiary check --profile .ostiary/pipeline --json cup.jpg | "
        "ostiary policy explain gateway/policy.yaml --check - — which step decided\n\n"
        "ostiary policy test gateway/policy.yaml cases.yaml — whether cases turn out as they say\n\n"
        "ostiary policy replay --policy new.yaml --config gateway/gateway.yaml --since 7d --flip-budget 0.5%"
    ),
)

policy_replay.register(app)

File = Annotated[
    Path, typer.Argument(metavar="FILE", help="policy.yaml.", exists=True, dir_okay=False, readable=True)
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON: one object a line.")]


@app.command(epilog="Example: ostiary policy lint gateway/policy.yaml --json")
def lint(file: File, json: AsJson = False) -> None:
    """Read a policy as a gateway would, and say what is wrong; then what may not be meant.

    Exit codes: 0 nothing wrong, 1 something is, 2 usage.
    """
    from ostiary_gateway.cli.policy_report import tell_lint

    linted = _linted(file)
    tell_lint(file, linted, as_json=json)
    raise typer.Exit(1 if linted.problems else 0)


@app.command(epilog="Exit codes: 0 it was told, 1 the policy or what is to be explained is bad, 2 usage.")
def explain(
    file: File,
    policy: Annotated[str, typer.Option(help="Only this policy: nudity.")] = "",
    label: Annotated[str, typer.Option(help="Only this label: explicit.")] = "",
    category: Annotated[
        str | None, typer.Option(metavar="TEXT", help="For a listing in this category, as callers send it.")
    ] = None,
    check: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            allow_dash=True,
            help="Which step decided: lines of `ostiary check --json`, a CheckResponse, or a DecisionRecord "
            "with observations to decide on again; - for standard input.",
        ),
    ] = None,
    json: AsJson = False,
) -> None:
    """Say what happens for each label and category, and for each failure; or what decided a check."""
    in_force = _in_force(file)
    if check is not None:
        _explain_checks(in_force, check, as_json=json)
        return
    from ostiary_gateway.cli.policy_report import tell_policy

    names = {rule.policy for rule in in_force.message.policies}
    if policy and policy not in names:
        raise typer.BadParameter(f"--policy: {policy} is none of {', '.join(sorted(names))}")
    tell_policy(in_force, policy, label, category, as_json=json)


@app.command("test", epilog="Example: ostiary policy test gateway/policy.yaml cases.yaml")
def try_cases(
    file: File,
    cases: Annotated[
        Path,
        typer.Argument(metavar="CASES", help="Cases, as docs/policy.md shows.", exists=True, dir_okay=False),
    ],
    json: AsJson = False,
) -> None:
    """Decide cases by a policy, and say which turn out otherwise than they say.

    Exit codes: 0 all turn out as they say, 1 not, or a file is bad, 2 usage.
    """
    from ostiary_gateway.cli.policy_report import tell_cases
    from ostiary_gateway.policy.cases import read, tried

    in_force = _in_force(file)
    try:
        found = read(cases.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        _fail(f"{cases}: {error}")
    done = tried(found, in_force, datetime.now(UTC))
    tell_cases(cases, done, as_json=json)
    raise typer.Exit(1 if any(each.problems for each in done) else 0)


def _explain_checks(policy: "PolicyInForce", source: Path, *, as_json: bool) -> None:
    from ostiary_gateway.cli.policy_checks import read_checks
    from ostiary_gateway.cli.policy_report import tell_check

    try:
        text = sys.stdin.read() if str(source) == "-" else source.read_text(encoding="utf-8")
        for decided in read_checks(text, policy):
            tell_check(decided, policy, as_json=as_json)
    except (OSError, ValueError) as error:
        _fail(f"{source}: {error}")


def _linted(file: Path) -> "Linted":
    from ostiary_gateway.policy.lint import lint as read
    from ostiary_gateway.rules.pack import shipped

    try:
        return read(file.read_text(encoding="utf-8"), shipped())
    except (OSError, UnicodeDecodeError) as error:
        _fail(f"{file}: {error}")


def _in_force(file: Path) -> "PolicyInForce":
    linted = _linted(file)
    if linted.policy is None:
        _fail("\n".join(f"{file}:{problem.line}: {problem.reason}" for problem in linted.problems))
    return linted.policy


def _fail(words: str) -> NoReturn:
    typer.echo(words, err=True)
    raise typer.Exit(1)
