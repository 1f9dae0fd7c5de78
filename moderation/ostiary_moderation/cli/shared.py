"""What the commands of `ostiary model` have in common: loading, running to the end, and saying what is
wrong.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import sys
from collections.abc import Callable, Coroutine
from concurrent.futures import ProcessPoolExecutor
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec, TypeVar

import typer

if TYPE_CHECKING:
    from ostiary_moderation.bundle import Bundle
    from ostiary_moderation.engine import Engine
    from ostiary_moderation.evaluation import LabelledPhoto
    from ostiary_moderation.evaluation.rendering import RenderedOverlays

P = ParamSpec("P")
T = TypeVar("T")
PHOTOS = "Folder with labels.csv (file, label, kids, sender; colour and pattern where known) and the photos."
THREADS = "CPU threads for the model's arithmetic."
SENDERS = "held-out: only senders that the bundle never learnt from, by its evaluation.json."
LIMIT = "Use so many of the photographs, spread evenly; 0: all."


class Senders(StrEnum):
    """Whose photographs count."""

    ALL = "all"
    HELD_OUT = "held-out"


def fail(error: Exception | str) -> NoReturn:
    """One line on the standard error stream, and exit code 1."""
    typer.echo(f"error: {error}", err=True)
    raise typer.Exit(1)


def say(words: str) -> None:
    """Progress, on the standard error stream: the standard output is for what was asked."""
    typer.echo(words, err=True)


def counter(total: int) -> Callable[[int], None]:
    """Tells how many of `total` looks are done: on one line of a terminal, every tenth part elsewhere."""
    terminal = sys.stderr.isatty()
    step = 1 if terminal else max(1, total // 10)

    def count(done: int) -> None:
        if done % step == 0 or done == total:
            ending = "\r" if terminal and done < total else "\n"
            typer.echo(f"{done} of {total} looks{ending}", err=True, nl=False)

    return count


def load(name: str) -> Bundle:
    """The bundle, or the end of the command."""
    from ostiary_moderation.bundle import Bundle, BundleError

    try:
        return Bundle.load(name)
    except BundleError as error:
        fail(error)


def with_engine(bundle: Bundle, threads: int, work: Callable[[Engine], Coroutine[Any, Any, T]]) -> T:
    """Loads the bundle's engine, does the work with it, and closes it."""
    from ostiary_moderation.engines import load_engine

    async def main() -> T:
        engine = await asyncio.to_thread(load_engine, bundle, threads)
        try:
            return await work(engine)
        finally:
            await engine.close()

    return to_the_end(lambda: asyncio.run(main()))


def to_the_end(work: Callable[[], T]) -> T:
    """Does the work; what a bundle, a file or the model fails for ends the command with one line."""
    try:
        return work()
    except (ValueError, OSError) as error:
        fail(error)
    except (RuntimeError, ArithmeticError) as error:
        fail(f"the model failed: {error}")


def apart(function: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
    """Calls in a process of its own, so that what it loads counts towards nobody else's memory."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments, **options).result()


def overlays() -> RenderedOverlays:
    """What draws over photographs, or the end of the command where its libraries are missing."""
    try:
        from ostiary_moderation.evaluation.rendering import RenderedOverlays

        return RenderedOverlays()
    except ModuleNotFoundError as error:
        fail(f"drawing overlays needs {error.name}: pip install 'ostiary[moderation,dev]'")
    except ValueError as error:
        fail(error)


def choose_photos(
    folder: Path, colours: Path | None, bundle: Bundle, senders: Senders, limit: int
) -> tuple[LabelledPhoto, ...]:
    """The photographs that count. Raises ValueError in words."""
    from ostiary_moderation.evaluation import read_labelled
    from ostiary_moderation.evaluation.photos import held_out_senders, of_senders

    photos = read_labelled(folder, colours)
    if senders is Senders.HELD_OUT:
        photos = of_senders(photos, held_out_senders(bundle.folder))
    if not limit or limit >= len(photos):
        return photos
    return tuple(photos[index * len(photos) // limit] for index in range(limit))
