"""`ostiary operator run`: the keeper."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def add(app: typer.Typer) -> None:
    """Gives an application the command."""
    app.command(epilog="Example: ostiary operator run --pod-template pod-template.yaml --namespace shop")(run)


def run(
    pod_template: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            help="PodTemplateSpec of versions' pods, YAML.",
            envvar="OSTIARY_KEEPER_POD_TEMPLATE",
        ),
    ],
    namespace: Annotated[
        list[str],
        typer.Option(
            metavar="NAME",
            help="Where ModelDeployments are; may be repeated. Default: that of the service account.",
            envvar="OSTIARY_KEEPER_NAMESPACE",
        ),
    ] = [],  # noqa: B006  # typer copies it
    kubeconfig: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="From outside the cluster.", envvar="KUBECONFIG", dir_okay=False),
    ] = None,
    context: Annotated[
        str | None, typer.Option(metavar="NAME", help="Of the kubeconfig; default: its current one.")
    ] = None,
    prometheus: Annotated[
        str,
        typer.Option(
            metavar="URL",
            help="What analyses and autoscalers ask; without it they find nothing.",
            envvar="OSTIARY_KEEPER_PROMETHEUS",
        ),
    ] = "",
    selector: Annotated[
        str,
        typer.Option(
            metavar="LABELS",
            help='Labels of the gateways\' series in Prometheus: namespace="shop".',
            envvar="OSTIARY_KEEPER_SELECTOR",
        ),
    ] = "",
    decision_log: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Where autoscalers' decisions are logged, for ostiary operator replay.",
            envvar="OSTIARY_KEEPER_DECISION_LOG",
            dir_okay=False,
        ),
    ] = None,
    resync: Annotated[
        float, typer.Option(min=1.0, help="Seconds after which everything is listed again.")
    ] = 300.0,
    admin: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="Metrics and probes over HTTP: /metrics, /livez, /readyz. Default: none.",
            envvar="OSTIARY_KEEPER_ADMIN",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json/--text", help="Logs as JSON lines, or as text.")] = True,
) -> None:
    """Keep ModelDeployments: roll versions, judge them, roll back, until SIGTERM or SIGINT.

    Of several keepers of a namespace one acts; another takes over within 15 seconds where that one is lost.
    Everything that it knows is in the cluster: it can be killed at any time and started again.

    Exit codes: 0 stopped in order, 1 failed, 2 bad settings, or no way into the cluster.
    """
    from ostiary.wire.process import Stop, observed
    from ostiary.wire.process import run as run_process
    from ostiary_operator.cluster.running import KeeperSettings, keep

    settings = KeeperSettings(
        pod_template,
        kubeconfig=kubeconfig,
        context=context,
        namespaces=tuple(namespace),
        prometheus=prometheus,
        selector=selector,
        decision_log=decision_log,
        resync=resync,
    )

    async def main(stop: Stop) -> None:
        with observed("ostiary-keeper", admin=admin) as probes:
            try:
                await keep(settings, stop, probes=probes)
            except OSError as error:
                raise ValueError(str(error)) from error

    raise typer.Exit(run_process("ostiary-keeper", main, log_format="json" if as_json else "text"))
