"""`ostiary up` and `ostiary down`: a gateway and pods on this machine."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ostiary.cli.main import fail

if TYPE_CHECKING:
    from ostiary.cli.stack.layout import Layout

up_app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
down_app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

Folder = Annotated[Path, typer.Option("--dir", file_okay=False, help="Folder of the stack.")]
DEFAULT_FOLDER = Path(".ostiary")

UP_EPILOG = (
    "Examples:\n\n"
    "ostiary up — one pod; Ctrl-C stops it\n\n"
    "ostiary up --pods 2 --detach — leave two pods running; `ostiary down` stops them\n\n"
    "Edit DIR/gateway/policy.yaml or roles.yaml as you like: neither is ever overwritten."
)


@up_app.command(epilog=UP_EPILOG)
def up(
    folder: Folder = DEFAULT_FOLDER,
    pods: Annotated[int, typer.Option(min=1, max=16, help="How many pods.")] = 1,
    bundle: Annotated[str, typer.Option(help="Model bundle: a shipped name, or a folder.")] = "mini",
    detach: Annotated[bool, typer.Option("--detach", help="Return once all serve.")] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="The gateway's port; 0: keep or choose.")] = 0,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds until all must serve.")] = 180.0,
) -> None:
    """Start a gateway and pods on this machine, over mutual TLS with an authority of their own."""
    from ostiary.cli.stack.health import StartError
    from ostiary.cli.stack.layout import Layout
    from ostiary.cli.stack.session import Session

    layout = Layout(folder.resolve())
    session = Session(layout, pods)
    try:
        if session.running():
            typer.echo(f"already running in {folder}")
            _say_what_to_try(layout, folder)
            return
        session.start(bundle, port, timeout)
        if session.stopping:
            session.stop()
            raise typer.Exit(130)
        _say_what_to_try(layout, folder)
        if not detach:
            typer.echo("Ctrl-C stops it.")
            session.watch()
    except (ValueError, StartError) as error:
        fail(str(error))


@down_app.command()
def down(folder: Folder = DEFAULT_FOLDER) -> None:
    """Stop what `ostiary up` has started; the record and the settings stay."""
    from ostiary.cli.stack import stack
    from ostiary.cli.stack.layout import Layout
    from ostiary.cli.stack.process import stop_all

    layout = Layout(folder.resolve())
    if not layout.run.exists():
        fail(f"there is no stack in {folder}: `ostiary up --dir {folder}` makes one")
    try:
        with stack.locked(layout):
            running = stack.recorded(layout)
            killed = stop_all(running)
    except ValueError as error:
        fail(str(error))
    names = ", ".join(process.name for process in running) or "nothing was running"
    typer.echo(f"stopped: {names}")
    for name in killed:
        typer.secho(f"{name} did not stop by itself and was killed", err=True, fg=typer.colors.YELLOW)


def _say_what_to_try(layout: "Layout", folder: Path) -> None:
    pipeline = folder / "pipeline"
    typer.echo(
        "\nTry:\n"
        f"  ostiary check --profile {pipeline} IMAGE…\n"
        f"  ostiary check --profile {pipeline} --json IMAGE… | python -m json.tool --json-lines\n"
        f"  ostiary audit verify {folder}\n"
        f"  edit {folder / 'gateway' / 'policy.yaml'}: the gateway follows the file\n"
        f"  ostiary down --dir {folder}\n"
        f"Logs: {layout.run}/*.log"
    )
