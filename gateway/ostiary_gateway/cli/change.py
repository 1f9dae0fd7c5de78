"""What commands that put something in force at a gateway share: whose profile, and what came of it."""

import json as encoder
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from ostiary.client import Profile
    from ostiary.v1.admin_pb2 import ChangeReport

ProfileFile = Annotated[
    Path,
    typer.Option(
        "--profile",
        envvar="OSTIARY_PROFILE",
        help="Folder of the role compliance-admin, or its profile.yaml.",
        show_default=False,
    ),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Only say what it would change, and what stands against it.")
]
Timeout = Annotated[float, typer.Option(min=0.1, help="Seconds for the call.")]
EXIT_CODES = "Exit code: 0 in force, or could be, 1 refused or an error, 2 a wrong command line."


def load_profile(path: Path) -> "Profile":
    """The profile at `path`; one that cannot be used is a wrong command line."""
    from ostiary.client import Profile
    from ostiary.wire.errors import OstiaryError

    try:
        return Profile.load(path)
    except OstiaryError as error:
        raise typer.BadParameter(str(error), param_hint="--profile") from error


def end_with(report: "ChangeReport", what: str, name: str, *, as_json: bool) -> NoReturn:
    """Tell what a change did or would do, and end. `what` names the kind of thing in JSON: `registry`."""
    if as_json:
        document = {
            what: name,
            "before": report.before,
            "after": report.after,
            "sha256": report.sha256.hex(),
            "problems": list(report.problems),
            "dry_run": report.dry_run,
        }
        typer.echo(encoder.dumps(document, ensure_ascii=False))
    else:
        _tell(report, name)
    raise typer.Exit(1 if report.problems else 0)


def _tell(report: "ChangeReport", name: str) -> None:
    for problem in report.problems:
        typer.echo(f"refused: {problem}", err=True)
    if not report.problems:
        before = f"version {report.before} before" if report.before else "new"
        would = "would be" if report.dry_run else "is"
        typer.echo(f"{name}@{report.after} {would} in force ({before}), sha256 {report.sha256.hex()}")
