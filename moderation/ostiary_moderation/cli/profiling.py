"""`ostiary model profile`: what a bundle costs on this machine."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ostiary_moderation.cli.shared import THREADS, apart, fail, load, say, to_the_end

if TYPE_CHECKING:
    from ostiary_moderation.bundle import Batching, Bundle
    from ostiary_moderation.profiling import Limits


def profile(
    bundle: Annotated[str, typer.Argument(help="A shipped name, such as mini, or a bundle folder.")] = "mini",
    seconds: Annotated[float, typer.Option(min=0.1, help="Seconds that each measurement takes.")] = 10.0,
    threads: Annotated[int, typer.Option(min=1, help=THREADS)] = 1,
    p95_ms: Annotated[float, typer.Option(min=0, help="Longest p95 that batches may cost; 0: any.")] = 0.0,
    memory_mb: Annotated[float, typer.Option(min=0, help="Most memory of the process; 0: any.")] = 0.0,
    tune: Annotated[bool, typer.Option(help="Look for the largest batching that pays, too.")] = True,
    write: Annotated[bool, typer.Option("--write", help="Store what is found in bundle.yaml.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Measure what this machine does with a bundle: load time, memory, checks a second, latency.

    At 1, 8 and 32 checks at once, without and with descriptions. With --write the bundle's digest changes.
    """
    from ostiary_moderation.profiling import Limits
    from ostiary_moderation.profiling import profile as run

    loaded = load(bundle)
    limits = Limits(seconds, threads, p95_ms or None, memory_mb or None)
    batching = loaded.manifest.batching
    if tune:
        batching = to_the_end(lambda: apart(_tune, loaded, limits))
    tuned = replace(loaded, manifest=loaded.manifest.model_copy(update={"batching": batching}))
    found = to_the_end(lambda: asyncio.run(run(tuned, limits, say)))
    facts: dict[str, Any] = {"batching": batching.model_dump(), "capacity": found.model_dump(mode="json")}
    digest = _write(loaded, facts) if write else None
    if as_json:
        typer.echo(json.dumps({**facts, "digest": digest or loaded.digest.hex()}, indent=2))
        return
    typer.echo(f"{found.machine}, {found.threads} thread(s), {found.versions}")
    typer.echo(f"loads in {found.load_seconds:g} s, after {found.import_seconds:g} s of importing libraries")
    typer.echo(f"takes {found.rss_mb:g} MB of memory, {found.gpu_mb:g} MB on the GPU")
    typer.echo(f"batching: {batching.max_sequences} rows, {batching.prefill_tokens} tokens")
    typer.echo(f"written; the digest is now {digest}" if digest else "not written: --write stores it")


def _tune(bundle: Bundle, limits: Limits) -> Batching:
    from ostiary_moderation.profiling import best_batching

    return asyncio.run(best_batching(bundle, limits, say))


def _write(bundle: Bundle, facts: dict[str, Any]) -> str:
    from ostiary_moderation.bundle import BundleError
    from ostiary_moderation.bundle.rewriting import backup_path, rewrite_manifest

    try:
        return rewrite_manifest(bundle, lambda data: data.update(facts), backup_path(bundle)).digest.hex()
    except (BundleError, OSError) as error:
        fail(error)
