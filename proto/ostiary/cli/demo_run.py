"""What the demo does with a running stack, and how it tells of it."""

import asyncio
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ostiary.cli.check_report import COLOURS, described
from ostiary.cli.stack.layout import Layout
from ostiary.cli.stack.stack import ostiary
from ostiary.client import AsyncClient, CheckResult, OstiaryError, Reason, Verdict
from ostiary.demo import DemoImage

CHECK_SECONDS = 60.0


@dataclass(frozen=True)
class Judged:
    """One image of the demo, its answer, and how long the caller waited for it."""

    image: DemoImage
    result: CheckResult
    seconds: float

    @property
    def as_expected(self) -> bool:
        """Whether the verdict is one of those that a sound stack may give."""
        return self.result.verdict.value in self.image.expected


class Demo:
    """Checks images against a running stack; `shown` is its folder as the user named it."""

    def __init__(self, layout: Layout, shown: Path, images: Sequence[DemoImage]) -> None:
        self._images = images
        self._layout = layout
        self._shown = shown
        self._console = Console()

    def run(self) -> list[str]:
        """Does all of it and returns what went wrong, in words."""
        judged, denied = asyncio.run(self._calls())
        self._console.rule("Summary")
        self._console.print(_summary(judged))
        return [
            *(f"{each.image.file} got {each.result.verdict}" for each in judged if not each.as_expected),
            *([] if denied else ["a caller without the right was not denied"]),
            *([] if self._verified() else ["the record did not verify"]),
        ]

    async def _calls(self) -> tuple[list[Judged], bool]:
        images = self._layout.root / "images"
        images.mkdir(exist_ok=True)
        self._console.rule("Checks over mutual TLS, as the pipeline")
        async with AsyncClient.from_profile(self._layout.role("pipeline")) as client:
            judged = [await self._check(client, image, images) for image in self._images]
        return judged, await self._denied(images / judged[0].image.file)

    async def _check(self, client: AsyncClient, image: DemoImage, folder: Path) -> Judged:
        file = folder / image.file
        file.write_bytes(image.read())
        before = time.monotonic()
        result = await client.check(file, title=image.title, category=image.category, timeout=CHECK_SECONDS)
        judged = Judged(image, result, time.monotonic() - before)
        self._console.print(described(f"{image.file} ({image.why})", result))
        return judged

    async def _denied(self, file: Path) -> bool:
        self._console.rule("The same call as the auditor, who may not check")
        async with AsyncClient.from_profile(self._layout.role("auditor")) as client:
            try:
                await client.check(file, timeout=CHECK_SECONDS)
            except OstiaryError as error:
                self._console.print(Text(f"{error.reason.value}: {error.message}\n"))
                return error.reason is Reason.PERMISSION_DENIED
        self._console.print("[bold red]it was answered[/]")
        return False

    def _verified(self) -> bool:
        self._console.rule("The record")
        self._console.print(f"$ ostiary audit verify {self._shown}", highlight=False)
        command = ostiary("audit", "verify", str(self._shown))
        return subprocess.run(command, check=False).returncode == 0  # noqa: S603  # our own command


def _summary(judged: list[Judged]) -> Table:
    table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
    for column in ("image", "shows", "verdict", "as expected", "ms"):
        table.add_column(column, justify="right" if column == "ms" else "left")
    for each in judged:
        verdict = Text(each.result.verdict, style=COLOURS[Verdict(each.result.verdict)])
        wanted = f"no: {' or '.join(each.image.expected)}"
        expected = Text("yes") if each.as_expected else Text(wanted, style="bold red")
        table.add_row(each.image.file, each.image.why, verdict, expected, f"{each.seconds * 1000:.0f}")
    return table
