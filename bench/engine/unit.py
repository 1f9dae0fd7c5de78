"""One arm in one repeat: start its server, warm it up, run its cells, stop it.

Kept in a file, so that a run that was interrupted goes on where it stopped.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.engine.arms import Arm, Site
from bench.engine.clients import Client, until_answers
from bench.engine.images import Stream
from bench.engine.measure import CellResult, measure
from bench.engine.plan import Cell, Plan
from bench.engine.process import ServerProcess

_WARM_CLIENTS = 8


@dataclass(frozen=True)
class Material:
    """What all arms are shown: images for load, and small exact ones for comparing answers."""

    files: Sequence[bytes]
    exact: Sequence[bytes]


class Unit:
    """One arm's run in one repeat. `tell` is called with what happens, for people to follow."""

    def __init__(
        self, arm: Arm, repeat: int, plan: Plan, site: Site, cores: Sequence[int], tell: Callable[[str], None]
    ) -> None:
        self._arm = arm
        self._repeat = repeat
        self._plan = plan
        self._site = site
        self._cores = cores
        self._tell = tell
        self._capacity: dict[bool, float] = {}
        self._peak = 0

    async def run(self, material: Material) -> dict[str, Any]:
        """Measure; a document for `keep`. An arm that does not start has `unavailable` and no cells."""
        waiting = [cell for cell in self._plan.cells if self._repeat < cell.repeats]
        results: list[CellResult] = []
        agreement: list[dict[str, Any]] = []
        try:
            while waiting:
                async with self._server(material) as (client, server):
                    if not results and self._repeat == 0:
                        agreement = await self._compare(client, material)
                    await self._cells(waiting, results, client, server, material)
                    self._peak = max(self._peak, server.usage().peak_rss)
        except TimeoutError as error:
            if not results:
                return {"arm": self._arm.name, "repeat": self._repeat, "unavailable": str(error)}
            self._tell(f"{self._arm.name}: {error}")
        return {
            "arm": self._arm.name,
            "repeat": self._repeat,
            "peak_rss_mib": round(self._peak / 2**20),
            "agreement": agreement,
            "cells": [result.document() for result in results],
        }

    async def _cells(
        self,
        waiting: list[Cell],
        results: list[CellResult],
        client: Client,
        server: ServerProcess,
        material: Material,
    ) -> None:
        """Run cells until none waits, or one has left work behind: then a fresh server takes the rest."""
        idle = True
        while waiting and idle:
            cell = waiting.pop(0)
            seed = 1000 * self._repeat + len(results)
            images = Stream(material.files, seed, cell.duplicates)
            capacity = self._capacity.get(cell.description, 1.0)
            result, idle = await measure(
                cell, client, server, images, self._plan, capacity=capacity, seed=seed
            )
            results.append(result)
            if cell.kind == "closed" and not cell.duplicates and result.rate:
                self._capacity[cell.description] = max(self._capacity.get(cell.description, 0.0), result.rate)
            rate = "no answer" if result.rate is None else f"{result.rate:.2f} checks/s"
            self._tell(f"{self._arm.name} #{self._repeat + 1} {cell.name}: {rate} {result.trouble}".rstrip())

    @asynccontextmanager
    async def _server(self, material: Material) -> AsyncIterator[tuple[Client, ServerProcess]]:
        launch = self._arm.launch(self._site)
        threads = str(self._site.threads)
        # The same for all: torch reads these when a thread first computes.
        env = {**launch.env, "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads, "HF_HUB_OFFLINE": "1"}
        log = self._site.folder / f"{self._arm.name}.log"
        with ServerProcess(launch.command, cores=self._cores, env=env, log=log) as server:
            async with launch.client(launch.port) as client:
                try:
                    seconds = self._plan.start_seconds
                    await until_answers(
                        client, material.exact[0], ended=lambda: server.ended, seconds=seconds
                    )
                except TimeoutError as error:
                    raise TimeoutError(f"{error}; {log}: {server.end_of_log()}") from error
                await self._warm_up(client, material)
                yield client, server

    async def _warm_up(self, client: Client, material: Material) -> None:
        """Batches of several sizes, with and without descriptions: adaptive servers learn from them."""
        images = Stream(material.files, -1, 0.0)
        clock = asyncio.get_running_loop().time
        for description in (True, False):
            over = clock() + self._plan.warm_up

            async def ask(description: bool = description, over: float = over) -> None:
                await client.ask(next(images), description)
                while clock() < over:
                    await client.ask(next(images), description)

            await asyncio.gather(*(ask() for _ in range(min(_WARM_CLIENTS, len(material.files)))))

    async def _compare(self, client: Client, material: Material) -> list[dict[str, Any]]:
        """Its answers on the exact images, one after another."""
        found = []
        for image in material.exact[: self._plan.agreement]:
            reply = await client.ask(image, description=True, margins=True)
            found.append(
                {"answers": reply.answers, "description": reply.description, "margins": reply.margins}
            )
        return found


def keep(document: dict[str, Any], path: Path) -> None:
    """Write a unit's document, whole or not at all."""
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(document, ensure_ascii=False), encoding="utf-8")
    partial.replace(path)


def kept(path: Path) -> dict[str, Any] | None:
    """A unit's document from an earlier run."""
    if not path.exists():
        return None
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document
