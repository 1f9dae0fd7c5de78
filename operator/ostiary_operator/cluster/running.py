"""The keeper as a process: everything above, wired."""

from __future__ import annotations

import asyncio
import random
import socket
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import kopf
import structlog
from opentelemetry import metrics

from ostiary.wire.admin import AdminServer
from ostiary_operator.cluster.api import Api, ApiFailure, NotFound, configured, connected
from ostiary_operator.cluster.attention import Attention
from ostiary_operator.cluster.carrying import Carrier
from ostiary_operator.cluster.decision_file import DecisionFile
from ostiary_operator.cluster.judging import Judges
from ostiary_operator.cluster.keeper import Keeper
from ostiary_operator.cluster.kinds import (
    ANALYSIS_RUNS,
    GPU_AUTOSCALERS,
    MODEL_DEPLOYMENTS,
    WATCHED,
    Json,
    Kind,
)
from ostiary_operator.cluster.knowing import Knowing
from ostiary_operator.cluster.leader import Leader, LeaderTimes
from ostiary_operator.cluster.metrics import SCOPE, KeeperMetrics
from ostiary_operator.cluster.mirror import Key, Mirror
from ostiary_operator.cluster.prometheus import Prometheus, Source
from ostiary_operator.cluster.pulse import Pulse
from ostiary_operator.cluster.scaler import Scaler
from ostiary_operator.cluster.seeing import Sightings
from ostiary_operator.cluster.version_objects import read_template
from ostiary_operator.cluster.watching import settings as watch_settings
from ostiary_operator.cluster.watching import watch

_log = structlog.get_logger(__name__)
_FIRST_PAUSE, _LAST_PAUSE = 0.5, 10.0
"""Seconds between attempts to begin; twice as long after each."""


@dataclass(frozen=True)
class KeeperSettings:
    """How a keeper is set up."""

    pod_template: Path
    """A PodTemplateSpec: what versions' pods are like."""
    kubeconfig: Path | None = None
    """How to get into the cluster from outside; None: the service account of the pod."""
    context: str | None = None
    namespaces: tuple[str, ...] = ()
    """Where ModelDeployments are kept; none: the service account's, or the context's."""
    prometheus: str = ""
    """URL of the server that analyses ask; empty: none."""
    selector: str = ""
    """Labels that the gateways' series have there."""
    decision_log: Path | None = None
    """A file for the decisions of autoscalers; None: none but their status."""
    identity: str = field(default_factory=lambda: f"{socket.gethostname()}_{uuid.uuid4().hex[:12]}")
    leader: LeaderTimes = field(default_factory=LeaderTimes)
    resync: float = 300.0
    """Seconds after which everything is listed again, should a watch have lost something."""


async def keep(
    chosen: KeeperSettings,
    stop: asyncio.Event,
    ready: Callable[[], None] = lambda: None,
    watching: kopf.OperatorSettings | None = None,
    clock: Callable[[], float] = time.time,
    probes: AdminServer | None = None,
) -> None:
    """Keep ModelDeployments until `stop` is set.

    Args:
        chosen: how.
        stop: ends it.
        ready: called when the cluster is known and watched.
        watching: kopf's settings; None: those of `watch_settings`.
        clock: seconds since 1970.
        probes: tell whether it is live and ready, and whether it acts.

    Raises:
        OSError: a file cannot be read or written.
        ValueError: it cannot begin; the message says what to do.
    """
    template = read_template(chosen.pod_template)
    configuration, namespace = await configured(chosen.kubeconfig, chosen.context)
    namespaces = chosen.namespaces or (namespace,)
    async with connected(configuration) as api, _source(chosen) as source:
        process = _Process(api, template, source, chosen, namespaces, clock)
        if probes is not None:
            probes.follow(lambda: process.watching, process.words, process.pulse.trouble)
        if not await process.begin(stop):
            return

        def watched() -> None:
            process.watching = True
            _log.info("ready", namespaces=namespaces, admin=probes.address if probes else None)
            ready()

        by = watching or watch_settings()
        await process.run(watch(process.knowing, configuration, namespaces, watched, process.pulse, by), stop)
    _log.info("stopped")


class _Process:
    """One keeper, for one event loop."""

    def __init__(
        self,
        api: Api,
        template: Json,
        source: Source | None,
        chosen: KeeperSettings,
        namespaces: Sequence[str],
        clock: Callable[[], float],
    ) -> None:
        self._api = api
        self._namespaces = namespaces
        self._resync_seconds = chosen.resync
        self._rng = random.Random()  # noqa: S311 - spreads looks over time
        mirror, sightings = Mirror(), Sightings()
        self.pulse, self.watching = Pulse(time.monotonic), False
        self._leader = Leader(
            api, namespaces[0], chosen.identity, self._turned, chosen.leader, away=self.pulse.away
        )
        counts = KeeperMetrics(metrics.get_meter(SCOPE))
        counts.watch(mirror, lambda: self._leader.leading)
        carrier = Carrier(api, mirror, template, self._leader.check, self._run_seen)
        keeper = Keeper(mirror, sightings, carrier, clock, counts.acted)
        judges = Judges(mirror, carrier, source, clock)
        self._deployments = self._attention(keeper.look, counts, MODEL_DEPLOYMENTS)
        log = DecisionFile(chosen.decision_log) if chosen.decision_log is not None else None
        self._scaler = Scaler(mirror, sightings, carrier, source, clock, log)
        self._autoscalers = self._attention(self._scaler.look, counts, GPU_AUTOSCALERS)
        self._runs = self._attention(judges.look, counts, ANALYSIS_RUNS)
        self.knowing = Knowing(
            mirror, sightings, self._deployments, self._runs, self._autoscalers, clock, self.pulse
        )

    def _attention(
        self, look: Callable[[Key], Awaitable[float]], counts: KeeperMetrics, kind: Kind
    ) -> Attention:
        return Attention(look, lambda: self._leader.leading, self._rng, counts.looked(kind.name))

    def words(self) -> str:
        """Of a keeper that is ready: whether it acts."""
        return "ready: leading" if self._leader.leading else "ready: waiting for the Lease"

    def _run_seen(self, run: Json) -> None:
        self.knowing.told(ANALYSIS_RUNS, None, run)

    def _turned(self, leads: bool) -> None:
        """Leading has begun, or ended."""
        if leads:
            self._deployments.stir_all()
            self._runs.stir_all()
            self._scaler.forget_all()
            self._autoscalers.stir_all()

    async def run(self, watches: Coroutine[Any, Any, None], stop: asyncio.Event) -> None:
        """Until it is told to stop, or the watches end. Then it does nothing, and others may take over."""
        watching = asyncio.create_task(watches, name="watches")
        beside = [
            asyncio.create_task(stop.wait(), name="stop"),
            asyncio.create_task(self._leader.run(), name="leader"),
            asyncio.create_task(self._resync(), name="resync"),
        ]
        try:
            # Without any of them it would live on, and do nothing.
            done, _ = await asyncio.wait({watching, *beside}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            self.watching = False
            await self._deployments.close()
            await self._runs.close()
            await self._autoscalers.close()
            for task in (*beside, watching):
                task.cancel()
            await asyncio.gather(*beside, watching, return_exceptions=True)

    async def begin(self, stop: asyncio.Event) -> bool:
        """Lists everything, as soon as the API server answers; whether it did before `stop` was set.

        Raises:
            ValueError: as `list`.
        """
        pause = _FIRST_PAUSE
        while not stop.is_set():
            try:
                await self.list()
            except ApiFailure as failure:
                rest = max(failure.retry_after, pause * self._rng.uniform(0.5, 1.0))
                _log.warning("waiting for the API server", error=str(failure), again_in=round(rest, 1))
                with suppress(TimeoutError):
                    async with asyncio.timeout(rest):
                        await stop.wait()
                pause = min(_LAST_PAUSE, 2 * pause)
            else:
                return True
        return False

    async def list(self) -> None:
        """Everything that is there.

        Raises:
            ValueError: there are no such kinds; the message says what to do.
            ApiFailure: there was no list.
        """
        for namespace in self._namespaces:
            for kind in WATCHED:
                try:
                    objects, version = await self._api.every(kind, namespace)
                except NotFound as error:
                    raise ValueError(f"{error}: apply the definitions of manifests/crds first") from error
                self.knowing.listed(kind, namespace, objects, version)

    async def _resync(self) -> None:
        """Lists everything now and then: a watch that has lost something does not say so."""
        while True:
            await asyncio.sleep(self._resync_seconds * self._rng.uniform(0.9, 1.1))
            try:
                await self.list()
            except (ApiFailure, ValueError) as error:
                _log.warning("resync.failed", error=str(error))


@asynccontextmanager
async def _source(chosen: KeeperSettings) -> AsyncIterator[Source | None]:
    if not chosen.prometheus:
        yield None
        return
    async with aiohttp.ClientSession() as session:
        yield Prometheus(session, chosen.prometheus, chosen.selector)
