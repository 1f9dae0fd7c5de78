"""`ostiary demo`: a whole stack on this machine, images judged, and the record verified."""

from pathlib import Path
from typing import Annotated

import typer

from ostiary.cli.main import fail

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def demo(
    folder: Annotated[
        Path, typer.Option("--dir", file_okay=False, help="Folder of the demo's stack; it stays afterwards.")
    ] = Path(".ostiary/demo"),
    keep: Annotated[bool, typer.Option("--keep", help="Leave the stack running.")] = False,
    bundle: Annotated[str, typer.Option(help="Model bundle: a shipped name, or a folder.")] = "mini",
    timeout: Annotated[float, typer.Option(min=1, help="Seconds until all must serve.")] = 240.0,
) -> None:
    """Start two pods and a gateway, check images over mutual TLS, and verify the record.

    Ends with 0 only if every image got the verdict expected of it, a caller without the right was denied,
    and the record verified.
    """
    from ostiary.cli.demo_run import Demo
    from ostiary.cli.stack.health import StartError
    from ostiary.cli.stack.layout import Layout
    from ostiary.cli.stack.session import Session
    from ostiary.demo import demo_images
    from ostiary.wire.logs import configure_logs

    configure_logs("ostiary-demo", "text")
    layout = Layout(folder.resolve())
    session = Session(layout, pods=2)
    try:
        if not session.running():
            session.start(bundle, 0, timeout)
        try:
            failures = [] if session.stopping else Demo(layout, folder, demo_images()).run()
        finally:
            if not keep or session.stopping:
                session.stop()
    except (ValueError, StartError) as error:
        fail(str(error))
    if session.stopping:
        raise typer.Exit(130)
    _say_what_to_try(folder, keep)
    if failures:
        fail("; ".join(failures))


def _say_what_to_try(folder: Path, keep: bool) -> None:
    start = "" if keep else f"  ostiary up --dir {folder} --pods 2 --detach\n"
    typer.echo(
        f"\nTry next:\n{start}"
        f"  ostiary check --profile {folder}/pipeline {folder}/images/contact-zh.jpg\n"
        f"  ostiary check --profile {folder}/pipeline --json YOUR-IMAGE.jpg\n"
        f"  edit {folder}/gateway/policy.yaml and check again: the gateway follows the file\n"
        f"  ostiary down --dir {folder}"
    )
