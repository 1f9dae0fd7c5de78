"""`ostiary gateway`: set up and run a gateway."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Set up and run a gateway.",
    epilog=(
        "Examples:\n\n"
        "ostiary gateway init gateway — roles, policy and keys, for you to edit\n\n"
        "ostiary gateway serve --config gateway/gateway.yaml — run until stopped\n\n"
        "OSTIARY_GATEWAY_LISTEN=0.0.0.0:8443 ostiary gateway serve --config gateway/gateway.yaml"
    ),
)

_ENVIRONMENT = "OSTIARY_GATEWAY_"


@app.command(epilog="Example: ostiary gateway init gateway --trust-domain ostiary.local")
def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder to write into; made where missing.")],
    trust_domain: Annotated[
        str, typer.Option(help="SPIFFE trust domain of the callers that roles.yaml binds.")
    ] = "ostiary.local",
    origin: Annotated[
        str, typer.Option(help="Name of the transparency log, in its checkpoints and its key.")
    ] = "ostiary.local/log",
    kms: Annotated[
        bool, typer.Option("--kms", help="Write no evidence.key: a KMS keeps that key (evidence.kms).")
    ] = False,
) -> None:
    """Write roles.yaml, policy.yaml, log.key, log.vkey and evidence.key; make the folders lists and brands.

    Nothing is ever overwritten. Lists of known images go into the one folder, brand registries into the
    other: see `ostiary lists` and `ostiary brands`.

    Keep the two keys safe: without log.key the log cannot grow, without evidence.key, or the KMS for it,
    no image can be read.
    """
    from ostiary.wire.identity import check_trust_domain
    from ostiary_gateway.init import init_gateway

    try:
        domain = check_trust_domain(trust_domain)
        written = init_gateway(folder, trust_domain=domain, origin=origin, kms=kms)
    except (OSError, ValueError) as error:
        typer.echo(f"ostiary gateway init: {error}", err=True)
        raise typer.Exit(2) from error
    for path in written:
        typer.echo(f"wrote {path}")
    if not written:
        typer.echo(f"nothing to write: {folder} has it all")


@app.command(epilog="Example: ostiary gateway rotate-key gateway/evidence.key")
def rotate_key(
    key_file: Annotated[Path, typer.Argument(metavar="FILE", help="The file that evidence.key names.")],
    last: Annotated[
        bool,
        typer.Option("--last", help="Put it last: it opens, and seals nothing before its line is the first."),
    ] = False,
) -> None:
    """Put a new key into the file: new evidence is sealed under it, the older keys open what there is.

    Gateways follow their file at once. Where each has a copy, put the key last everywhere, then move its
    line to the first place: none then meets evidence that it cannot open. Keep an older key for as long as
    there is evidence under it.
    """
    from ostiary_gateway.store.sealing import add_evidence_key, load_evidence_keys

    try:
        key = add_evidence_key(key_file, last=last)
        count = len(load_evidence_keys(key_file))
    except (OSError, ValueError) as error:
        typer.echo(f"ostiary gateway rotate-key: {error}", err=True)
        raise typer.Exit(2) from error
    does = "opens" if last else "seals"
    typer.echo(f"{key_file}: key {key.id.hex()} {does} from now on; {count} keys open")


@app.command(epilog="Example: ostiary gateway try-kms /run/kms/kms.sock")
def try_kms(
    socket: Annotated[Path, typer.Argument(metavar="SOCKET", help="Where the plug-in listens.")],
    timeout: Annotated[float, typer.Option(min=0.001, help="Seconds for each answer.")] = 3.0,
) -> None:
    """Try a plug-in for KMS v2: is it well, and does it give back a key that it has encrypted?

    Nothing is kept. Exit code 1 where a gateway could not work with it, and why.
    """
    import asyncio
    import secrets
    import time

    from ostiary_gateway.kms.plugin import KmsError, KmsPlugin

    async def tried() -> str:
        plugin = KmsPlugin(socket, timeout)
        try:
            key_id, started = await plugin.status(), time.perf_counter()
            wrapped = await plugin.wrap(secrets.token_bytes(32), key_id)
            took = 1000 * (time.perf_counter() - started)
        finally:
            await plugin.close()
        size = wrapped.ByteSize()
        return f"well, under {key_id}: a key there and back in {took:.0f} ms; items carry it in {size} bytes"

    try:
        typer.echo(asyncio.run(tried()))
    except (KmsError, ValueError) as error:
        typer.echo(f"ostiary gateway try-kms: {error}", err=True)
        raise typer.Exit(1) from error


@app.command(epilog="Example: ostiary gateway serve --config gateway/gateway.yaml")
def serve(
    config: Annotated[
        Path, typer.Option("--config", metavar="FILE", help="gateway.yaml; its paths are relative to it.")
    ],
) -> None:
    """Serve until SIGTERM or SIGINT, then finish what is in progress.

    Any setting can come from the environment instead: OSTIARY_GATEWAY_LISTEN, OSTIARY_GATEWAY_TLS__CERT.
    Roles, route, policy, hash lists, brand registries, certificates and the deny-list are taken up when their
    files change.
    """
    from ostiary.wire.process import Stop, load_settings, run
    from ostiary.wire.process import serve as serve_until
    from ostiary_gateway.serve import gateway
    from ostiary_gateway.settings import GatewaySettings

    try:
        settings = load_settings(GatewaySettings, config, _ENVIRONMENT)
    except ValueError as error:
        typer.echo(f"ostiary gateway serve: {error}", err=True)
        raise typer.Exit(2) from error

    async def main(stop: Stop) -> None:
        await serve_until(
            "ostiary-gateway",
            gateway(settings),
            stop,
            otlp_endpoint=settings.otlp_endpoint,
            admin=settings.admin,
        )

    raise typer.Exit(run("ostiary-gateway", main, log_format=settings.log_format))
