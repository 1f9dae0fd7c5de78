"""Checks many files at the same time, and says what became of each in the order of the command line."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ostiary.client import AsyncClient, CheckResult, OstiaryError, Profile, Verdict
from ostiary.client.request import ListingFields, Want

EXIT_CODES = {Verdict.ALLOW: 0, Verdict.REVIEW: 3, Verdict.HOLD: 4, Verdict.BLOCK: 5}
EXIT_ERROR = 1
# From the gravest. An error stands first: nothing is known of its file.
_GRAVITY = (EXIT_ERROR, 5, 4, 3, 0)


@dataclass(frozen=True)
class Work:
    """What to check: files that share a listing, and what is wanted of each; `wants` None: everything."""

    files: Sequence[Path]
    listing: ListingFields
    wants: Collection[Want] | None


@dataclass(frozen=True)
class Outcome:
    """What became of one file: a result or an error."""

    file: Path
    answer: CheckResult | OstiaryError

    @property
    def exit_code(self) -> int:
        """The code that this file alone would end the command with."""
        return EXIT_ERROR if isinstance(self.answer, OstiaryError) else EXIT_CODES[self.answer.verdict]


def exit_code(outcomes: Iterable[Outcome]) -> int:
    """The gravest of all files' codes."""
    return min((outcome.exit_code for outcome in outcomes), key=_GRAVITY.index)


async def check_files(
    profile: Profile, work: Work, concurrency: int, seconds: float, told: Callable[[Outcome], None]
) -> None:
    """Checks each file, at most `concurrency` at once, and calls `told` in the order of the files."""
    slots = asyncio.Semaphore(concurrency)
    async with AsyncClient.of(profile) as client:

        async def one(file: Path) -> Outcome:
            async with slots:
                try:
                    answer = await client.check(file, wants=work.wants, timeout=seconds, **work.listing)
                    return Outcome(file, answer)
                except OstiaryError as error:
                    return Outcome(file, error)

        tasks = [asyncio.create_task(one(file)) for file in work.files]
        try:
            for task in tasks:
                told(await task)
        finally:
            for task in tasks:
                task.cancel()
