"""`ostiary sandbox`: a cluster on this machine, to try things out."""

import asyncio
import os
import shlex
import signal
from pathlib import Path
from typing import Annotated

import typer

from ostiary_operator.sandbox.controllers.scheduler import new_node
from ostiary_operator.sandbox.faults import Faults

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="A Kubernetes cluster on this machine: an API server with small controllers, for trying things out.",
    epilog=(
        "Examples:\n\n"
        "ostiary sandbox up --dir sandbox — serves until Ctrl-C\n\n"
        "kubectl --kubeconfig sandbox/kubeconfig get nodes\n\n"
        "ostiary sandbox up --dir sandbox --nodes 4 --gpus 2 — nodes with two GPUs each\n\n"
        "ostiary sandbox up --dir sandbox --processes — containers run as processes of this machine\n\n"
        "ostiary sandbox up --dir sandbox --fault conflict=0.1 --fault break_watch=0.05"
    ),
)


@app.callback()
def sandbox() -> None:
    """A Kubernetes cluster on this machine."""


def _pairs(words: list[str], what: str) -> dict[str, str]:
    made = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            typer.echo(f"{what} is NAME=VALUE, not {word!r}", err=True)
            raise typer.Exit(2)
        made[name] = value
    return made


def _faults(words: list[str]) -> Faults:
    faults = Faults()
    try:
        faults.set(**{name: float(value) for name, value in _pairs(words, "--fault").items()})
    except ValueError as error:
        typer.echo(f"--fault: {error}", err=True)
        raise typer.Exit(2) from error
    return faults


@app.command(epilog="Example: ostiary sandbox up --dir sandbox --nodes 4 --gpus 2")
def up(
    folder: Annotated[
        Path, typer.Option("--dir", metavar="DIR", help="Gets kubeconfig, certificates and the journal.")
    ],
    port: Annotated[int, typer.Option(help="Port of the API; 0 takes a free one.", min=0, max=65535)] = 0,
    nodes: Annotated[int, typer.Option(help="Nodes at the start.", min=0, max=1000)] = 2,
    gpus: Annotated[
        int, typer.Option(help="GPUs of each node; such nodes have the taint nvidia.com/gpu.", min=0)
    ] = 0,
    processes: Annotated[
        bool,
        typer.Option("--processes", help="Run containers as processes of this machine, without isolation."),
    ] = False,
    command: Annotated[
        list[str], typer.Option(metavar="IMAGE=COMMAND", help="With --processes: what an image runs.")
    ] = [],  # noqa: B006  # typer copies it
    journal: Annotated[bool, typer.Option(help="Keep objects in DIR for the next start.")] = True,
    fault: Annotated[
        list[str], typer.Option(metavar="NAME=CHANCE", help="What goes wrong, and how often (0 to 1).")
    ] = [],  # noqa: B006  # typer copies it
) -> None:
    """Serve a cluster until Ctrl-C. DIR/kubeconfig is the way in."""
    from ostiary_operator.sandbox.cluster import Settings

    commands = {image: shlex.split(words) for image, words in _pairs(command, "--command").items()}
    settings = Settings(
        folder,
        port=port,
        journal=journal,
        processes=processes,
        commands=commands,
        faults=_faults(fault),
        nodes=tuple(new_node(f"node-{index + 1}", gpus=gpus) for index in range(nodes)),
    )
    try:
        asyncio.run(_serve(settings))
    except (OSError, ValueError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error


async def _serve(settings: object) -> None:
    from ostiary_operator.sandbox.cluster import Cluster, Settings

    assert isinstance(settings, Settings)  # noqa: S101  # what `up` made
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, over.set)
    async with Cluster(settings) as cluster:
        path = settings.folder / "kubeconfig"
        typer.echo(f"{cluster.url} serves; Ctrl-C ends it\nexport KUBECONFIG={os.fspath(path.resolve())}")
        await over.wait()
