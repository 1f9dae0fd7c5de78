"""How the gateway's commands end where they cannot do what was asked."""

from typing import NoReturn

import typer


def fail(message: str) -> NoReturn:
    """Say what is wrong, and end the command with exit code 1."""
    typer.secho(f"error: {message}", err=True, fg=typer.colors.RED)
    raise typer.Exit(1)
