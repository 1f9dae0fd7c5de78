"""`ostiary pod`: run a pod."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Run a pod, which looks at images for gateways.",
    epilog=(
        "Examples:\n\n"
        "ostiary pod serve --config pod/pod.yaml — run until stopped\n\n"
        "OSTIARY_POD_BUNDLE=bundles/qwen3-vl-4b ostiary pod serve --config pod/pod.yaml — with another model"
    ),
)


@app.callback()
def _pod() -> None:
    """Keeps `serve` a sub-command while it is the only one."""


@app.command(epilog="Example: ostiary pod serve --config pod/pod.yaml")
def serve(
    config: Annotated[
        Path, typer.Option("--config", metavar="FILE", help="pod.yaml; its paths are relative to it.")
    ],
) -> None:
    """Load the bundle, warm it up, and serve until SIGTERM or SIGINT.

    Health probes see SERVING once checks can be looked at. Any setting can come from the environment instead:
    OSTIARY_POD_LISTEN, OSTIARY_POD_TLS__CERT. Certificates and the deny-list are taken up while running.
    """
    from ostiary.wire.process import Stop, run
    from ostiary.wire.process import serve as serve_until
    from ostiary_moderation.serve import pod
    from ostiary_moderation.settings import load_pod_settings

    try:
        settings = load_pod_settings(config)
    except ValueError as error:
        typer.echo(f"ostiary pod serve: {error}", err=True)
        raise typer.Exit(2) from error

    async def main(stop: Stop) -> None:
        await serve_until("ostiary-pod", pod(settings), stop, otlp_endpoint=settings.otlp_endpoint)

    raise typer.Exit(run("ostiary-pod", main, log_format=settings.log_format))
