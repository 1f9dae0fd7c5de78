"""The `ostiary` command. Sub-commands are imported when they run: `ostiary --help` stays fast."""

import os
import sys
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup

from ostiary.cli.commands import Listed, all_commands

if TYPE_CHECKING:
    from typer._click import Command, Context

EPILOG = (
    "Examples:\n\n"
    "ostiary demo — a whole stack, images judged, the record verified\n\n"
    "ostiary up --detach — leave a stack running\n\n"
    "ostiary check --profile .ostiary/pipeline cup.jpg — check a file\n\n"
    "ostiary COMMAND --help — all there is to know about a command"
)


class ListedCommand(TyperCommand):
    """Stands in `--help` for a command that is not imported yet."""

    def __init__(self, listed: Listed) -> None:
        super().__init__(listed.name, help=listed.summary, rich_help_panel=listed.panel)
        self.listed = listed


class LazyGroup(TyperGroup):
    """Lists commands from their summaries, and imports the one that is called."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for listed in all_commands():
            self.add_command(ListedCommand(listed))

    def list_commands(self, ctx: "Context") -> list[str]:
        """In the order of the table, which is the order of use."""
        return list(self.commands)

    def resolve_command(
        self, ctx: "Context", args: list[str]
    ) -> "tuple[str | None, Command | None, list[str]]":
        """The command that `args` begin with, imported."""
        name, command, rest = super().resolve_command(ctx, args)
        if isinstance(command, ListedCommand):
            return name, load(command.listed), rest
        return name, command, rest


def load(listed: Listed) -> TyperCommand:
    """Imports the command, or ends the process with words on what to install."""
    try:
        return listed.load()
    except ImportError as error:
        fail(missing_package(listed.name, listed.extra, error))


def missing_package(command: str, extra: str, error: ImportError) -> str:
    """What to tell somebody who lacks a package."""
    remedy = f"pip install 'ostiary[{extra}]'" if extra else "reinstall the package that provides the command"
    return f"`ostiary {command}` needs a package that is not installed ({error}): {remedy}"


def fail(message: str, code: int = 1) -> NoReturn:
    """Prints an error for people and ends the process."""
    typer.secho(f"error: {message}", err=True, fg=typer.colors.RED)
    raise SystemExit(code)


app = typer.Typer(
    cls=LazyGroup,
    no_args_is_help=True,
    epilog=EPILOG,
    help="Ostiary keeps the door: it checks product images and their text before they are published.",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        import ostiary

        typer.echo(f"ostiary {ostiary.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """The options of `ostiary` itself."""


def main() -> None:
    """Runs the command line; errors that users can mend are told in one line, without a traceback."""
    # The TLS runtime tells of failed handshakes on standard error by itself; we do, in words.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    try:
        app(prog_name="ostiary")
    except ModuleNotFoundError as error:
        listed = {each.name: each for each in all_commands()}.get(_called())
        if listed is None or (error.name or "").split(".")[0].startswith("ostiary"):
            raise
        fail(missing_package(listed.name, listed.extra, error))
    except Exception as error:
        from ostiary.wire.errors import OstiaryError

        if not isinstance(error, OstiaryError):
            raise
        fail(str(error))


def _called() -> str:
    return next((argument for argument in sys.argv[1:] if not argument.startswith("-")), "")
