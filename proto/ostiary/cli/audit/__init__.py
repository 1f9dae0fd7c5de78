"""`ostiary audit`: finds, shows and keeps what is on record, and proves that it is what it was."""

from pathlib import Path
from typing import Annotated

import typer

from ostiary.cli.audit import desk, export, keeping
from ostiary.cli.audit.earlier import earlier_checkpoints, keep_checkpoint
from ostiary.cli.audit.locate import locate, parse_store
from ostiary.cli.audit.problem import Tampered, UsageError
from ostiary.cli.audit.report import progress_bar, tell_tampered, tell_verified
from ostiary.cli.audit.verify import Audit

app = typer.Typer(help="Find, show, prove and export what is on record.", no_args_is_help=True)

Directory = Annotated[Path, typer.Argument(help="A published log, or a directory made by `ostiary up`.")]
Vkey = Annotated[
    str | None,
    typer.Option(metavar="FILE|KEY", help="The verifier key that you trust, or a file that holds it."),
]
Store = Annotated[
    str | None,
    typer.Option(
        metavar="FILE|URL", help="The gateway's database, to compare with: a file, or postgresql://…"
    ),
]
Earlier = Annotated[
    Path | None,
    typer.Option("--checkpoint", metavar="FILE", help="A checkpoint trusted before: the log must extend it."),
]
Remember = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="As --checkpoint, and keeps the newest one there for the next time."),
]
Wait = Annotated[
    float, typer.Option(metavar="SECONDS", min=0, help="How long a running gateway may take to publish.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@app.callback()
def _audit() -> None:
    """Find, show, prove and export what is on record."""


desk.register(app)
export.register(app)
keeping.register(app)


@app.command()
def verify(
    directory: Directory = Path(".ostiary"),
    vkey: Vkey = None,
    store: Store = None,
    checkpoint: Earlier = None,
    remember: Remember = None,
    wait: Wait = 5.0,
    as_json: AsJson = False,
) -> None:
    """Prove, offline, that no decision was changed, dropped, added or moved.

    Exit codes: 0 in order, 1 tampered with (says which entry, where that can be told), 2 usage.
    """
    try:
        target = locate(directory, vkey, parse_store(store) if store else None)
        trusted = earlier_checkpoints(target.key, checkpoint, remember)
        with progress_bar(hidden=as_json) as progress:
            verified = Audit(target, trusted, patience=wait, progress=progress).run()
        if remember and verified.note:
            keep_checkpoint(remember, verified.note)
    except UsageError as error:
        typer.echo(f"ostiary audit verify: {error}", err=True)
        raise typer.Exit(2) from error
    except Tampered as problem:
        tell_tampered(target, problem, as_json=as_json)
        raise typer.Exit(1) from problem
    tell_verified(target, verified, as_json=as_json)
