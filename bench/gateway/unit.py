"""One arm's turn: start its server, put loads on it one after another, stop it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from bench.engine.process import ServerProcess
from bench.gateway.arms import Arm, Launch, Place
from bench.gateway.load import Spec, answers, loaded
from bench.gateway.plan import Cell, Plan

MB = 1e6


class Unit:
    """Measures one arm. `stub` is the pod's process, which all arms share."""

    def __init__(self, arm: Arm, plan: Plan, place: Place, stub: ServerProcess) -> None:
        self._arm = arm
        self._plan = plan
        self._place = place
        self._stub = stub

    def run(self, cells: Sequence[Cell], per_second: float = 0.0) -> list[dict[str, Any]]:
        """A document for each cell, in order; `per_second` is the rate of those at half load.

        Raises TimeoutError where the server does not answer.
        """
        launch = self._arm.launch(self._place)
        with self._server(launch) as server:
            first = self._spec(launch, cells[0], per_second)
            try:
                asyncio.run(answers(first, self._plan.start))
            except TimeoutError as error:
                why = server.end_of_log(3) if server else ""
                raise TimeoutError(f"{error}; {why}") from error
            return [self._measure(cell, self._spec(launch, cell, per_second), server) for cell in cells]

    @contextmanager
    def _server(self, launch: Launch) -> Iterator[ServerProcess | None]:
        if not launch.command:
            yield None
            return
        log = self._place.site.folder / f"{self._arm.name}.log"
        with ServerProcess(launch.command, cores=self._place.cores, env=launch.env, log=log) as server:
            yield server

    def _spec(self, launch: Launch, cell: Cell, per_second: float) -> Spec:
        return Spec(
            way=launch.way,
            address=launch.address,
            credentials=str(self._place.site.credentials("pipeline")),
            size=cell.bytes,
            clients=cell.clients,
            per_second=per_second if cell.half else 0.0,
            warm_seconds=self._plan.warm_up,
            seconds=self._plan.half_seconds if cell.half else self._plan.closed_seconds,
        )

    def _measure(self, cell: Cell, spec: Spec, server: ServerProcess | None) -> dict[str, Any]:
        before, pod = server.usage().cpu if server else 0.0, self._stub.usage().cpu
        outcome = loaded(spec)
        after = server.usage() if server else None
        # The servers' share covers the warm-up too, so it is spread over what was sent then as well.
        all_checks = max(1.0, len(outcome.calls) * (spec.warm_seconds + spec.seconds) / outcome.window)
        return {
            "cell": cell.name,
            "rate": len(outcome.latencies) / outcome.window,
            "latencies": outcome.latencies,
            "failed": outcome.failed,
            "load_cores": outcome.cpu / outcome.window,
            "server_ms": (after.cpu - before) / all_checks * 1000 if after else None,
            "pod_ms": (self._stub.usage().cpu - pod) / all_checks * 1000,
            "peak_mb": after.peak_rss / MB if after else None,
        }
