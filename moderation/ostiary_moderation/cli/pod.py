"""`ostiary pod`: run a pod, and hash images as it does."""

from __future__ import annotations

import csv
import json as encoder
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ostiary_moderation.cli.shared import fail

if TYPE_CHECKING:
    from ostiary_moderation.hashing import FileHashes

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Run a pod, which looks at images for gateways.",
    epilog=(
        "Examples:\n\n"
        "ostiary pod serve --config pod/pod.yaml — run until stopped\n\n"
        "OSTIARY_POD_BUNDLE=bundles/qwen3-vl-4b ostiary pod serve --config pod/pod.yaml — another model\n\n"
        "ostiary pod hash --csv pdq bad/*.jpg > fakes.csv — for `ostiary lists import`"
    ),
)


class ListKind(StrEnum):
    """Kinds of hash that lists hold."""

    PDQ = "pdq"
    SHA256 = "sha256"


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
        await serve_until(
            "ostiary-pod",
            pod(settings),
            stop,
            otlp_endpoint=settings.otlp_endpoint,
            admin=settings.admin,
        )

    raise typer.Exit(run("ostiary-pod", main, log_format=settings.log_format))


@app.command("hash", epilog="Example: ostiary pod hash --json photo.jpg")
def hash_(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Images.", exists=True, dir_okay=False)
    ],
    kind: Annotated[
        ListKind | None, typer.Option("--csv", help="Print the entries of a hash list of this kind.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line, per file.")] = False,
) -> None:
    """Show the hashes of images as a pod sees them: what hash lists know images by.

    Exit code: 0, or 1 where an image cannot be read; the others are told all the same.
    """
    import asyncio

    from ostiary.wire.logs import configure_logs
    from ostiary_moderation.decode.pool import NoDecoderError
    from ostiary_moderation.hashing import hash_files

    configure_logs("ostiary-pod", "text")

    async def main() -> list[FileHashes]:
        return [hashes async for hashes in hash_files(files)]

    try:
        found = asyncio.run(main())
    except (NoDecoderError, OSError) as error:
        fail(error)
    readable = [hashes for hashes in found if not hashes.fault]
    if json:
        for hashes in found:
            typer.echo(encoder.dumps(_facts(hashes), ensure_ascii=False))
    elif kind is not None:
        _print_entries(readable, kind)
    else:
        for hashes in readable:
            _print_hashes(hashes)
    for hashes in found:
        if hashes.fault:
            typer.echo(f"{hashes.file}: {hashes.fault}", err=True)
    raise typer.Exit(0 if len(readable) == len(found) else 1)


def _facts(hashes: FileHashes) -> dict[str, object]:
    if hashes.fault:
        return {"file": str(hashes.file), "error": hashes.fault}
    frames = [{"hash": frame.hash.hex(), "quality": frame.quality} for frame in hashes.frames]
    sha256 = {"raw_sha256": hashes.raw_sha256.hex(), "sha256": hashes.sha256.hex()}
    return {"file": str(hashes.file), **sha256, "pdq": frames}


def _print_entries(found: list[FileHashes], kind: ListKind) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(("hash", "note"))
    for hashes in found:
        sha256s = [hashes.raw_sha256, hashes.sha256]
        listed = sha256s if kind is ListKind.SHA256 else [frame.hash for frame in hashes.frames]
        writer.writerows((each.hex(), hashes.file.name) for each in dict.fromkeys(listed))


def _print_hashes(hashes: FileHashes) -> None:
    typer.echo(str(hashes.file))
    for frame in hashes.frames:
        typer.echo(f"  pdq     {frame.hash.hex()}  quality {frame.quality}")
    typer.echo(f"  sha256  {hashes.sha256.hex()}  canonical")
    typer.echo(f"  sha256  {hashes.raw_sha256.hex()}  as it is")
