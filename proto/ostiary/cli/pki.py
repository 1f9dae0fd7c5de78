"""`ostiary pki`: a small certificate authority for one machine."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv6Address

    from ostiary.wire.identity import SpiffeId

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Issue, renew and deny certificates, with an authority that lives in a folder.",
    epilog=(
        "Examples:\n\n"
        "ostiary pki init pki — a new authority for the trust domain ostiary.local\n\n"
        "ostiary pki issue pki --out gateway --id spiffe://ostiary.local/role/gateway "
        "--dns gateway.ostiary.local --dns localhost --ip 127.0.0.1\n\n"
        "ostiary pki issue pki --out pipeline --hours 8 "
        "--id spiffe://ostiary.local/tenant/demo/role/pipeline\n\n"
        "ostiary pki renew pki --out pipeline — servers and clients take the new files up while they run\n\n"
        "ostiary pki deny pki pipeline/cert.pem --reason 'laptop lost'"
    ),
)

_DEFAULT_HOURS = 24.0

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The authority's folder.")]
Out = Annotated[Path, typer.Option("--out", help="Folder for cert.pem, key.pem and ca.pem.")]
Days = Annotated[float | None, typer.Option(help="Life in days.", show_default=False)]
Hours = Annotated[float | None, typer.Option(help="Life in hours.", show_default=False)]


@contextmanager
def _told() -> Iterator[None]:
    """Errors that the user can mend end the command in one line."""
    try:
        yield
    except (ValueError, OSError) as error:
        typer.secho(f"error: {error}", err=True, fg=typer.colors.RED)
        raise typer.Exit(1) from error


@app.command()
def init(
    folder: Folder,
    trust_domain: Annotated[str, typer.Option(help="Whom it vouches for.")] = "ostiary.local",
    days: Annotated[float, typer.Option(help="Life in days.", min=1, max=3650)] = 365,
) -> None:
    """Make an authority: ca.pem, ca.key and deny.txt. Never overwrites one."""
    from ostiary.pki import create_ca

    with _told():
        authority = create_ca(folder, trust_domain, lifetime=timedelta(days=days))
    typer.echo(
        f"{folder}: authority of {trust_domain}, until {authority.certificate.not_valid_after_utc:%F %RZ}"
    )
    typer.echo(f"Keep {folder / 'ca.key'} to yourself: whoever has it can be anybody.")


@app.command()
def issue(
    folder: Folder,
    out: Out,
    spiffe_id: Annotated[str, typer.Option("--id", help="spiffe://TRUST_DOMAIN/PATH")],
    dns: Annotated[list[str] | None, typer.Option(help="A DNS name; repeatable. Servers need one.")] = None,
    ip: Annotated[list[str] | None, typer.Option(help="An IP address; repeatable.")] = None,
    days: Days = None,
    hours: Hours = None,
    client: Annotated[bool, typer.Option(help="Good for clients.")] = True,
    server: Annotated[bool, typer.Option(help="Good for servers.")] = True,
) -> None:
    """Issue a certificate with a new key, for 24 hours unless told otherwise."""
    from ostiary.pki import Authority

    with _told():
        identity, addresses = _parse_id(spiffe_id), [_parse_ip(text) for text in ip or ()]
        lifetime = _lifetime(days, hours)
        if lifetime is None:
            lifetime = timedelta(hours=_DEFAULT_HOURS)
        authority = Authority.load(folder)
        authority.issue(out, identity, dns or (), addresses, lifetime, client=client, server=server)
    _say(out)


@app.command()
def renew(folder: Folder, out: Out, days: Days = None, hours: Hours = None) -> None:
    """Replace a certificate and its key by new ones with the same names, uses and length of life."""
    from ostiary.pki import Authority

    with _told():
        Authority.load(folder).renew(out, _lifetime(days, hours))
    _say(out)


@app.command()
def deny(
    folder: Folder,
    certificate: Annotated[str, typer.Argument(metavar="SERIAL|CERT", help="A serial in hex, or a file.")],
    reason: Annotated[str, typer.Option(help="A comment for the list.")] = "",
) -> None:
    """Put a certificate on the deny-list; servers refuse it within a second, also on open connections."""
    from datetime import UTC, datetime

    from ostiary.pki import Authority
    from ostiary.pki.describe import load_leaf
    from ostiary.wire.deny_list import parse_serial

    with _told():
        path = Path(certificate)
        serial = load_leaf(path).serial_number if path.exists() else parse_serial(certificate, "no such file")
        authority = Authority.load(folder)
        added = authority.deny(serial, f"{datetime.now(UTC):%FT%RZ} {reason}")
    typer.echo(f"{serial:x} {'is' if added else 'was already'} on {authority.deny_list}")


@app.command()
def show(
    certificate: Annotated[Path, typer.Argument(metavar="CERT", help="A certificate in PEM.")],
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show whom a certificate names, for what it is good, and until when."""
    import json as encoder

    from ostiary.pki.describe import describe, load_leaf

    with _told():
        facts = describe(load_leaf(certificate))
    if json:
        typer.echo(encoder.dumps(facts))
        return
    for key, value in facts.items():
        typer.echo(f"{key:12} {', '.join(value) if isinstance(value, list) else value}")


def _say(out: Path) -> None:
    from ostiary.pki.describe import describe, load_leaf

    facts = describe(load_leaf(out / "cert.pem"))
    typer.echo(f"{out}: {facts['id']}, serial {facts['serial']}, until {facts['not_after']}")


def _lifetime(days: float | None, hours: float | None) -> timedelta | None:
    if days is None and hours is None:
        return None
    return timedelta(days=days or 0, hours=hours or 0)


def _parse_id(text: str) -> "SpiffeId":
    from ostiary.wire.identity import SpiffeId

    return SpiffeId.parse(text)


def _parse_ip(text: str) -> "IPv4Address | IPv6Address":
    from ipaddress import ip_address

    return ip_address(text)
