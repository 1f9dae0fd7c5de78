"""A gateway, a pod of fixed service time, and ten times as many callers as that can carry."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from bench.engine.arms import free_port
from bench.engine.process import ServerProcess
from bench.gateway.load import Outcome, Spec, answers, loaded
from bench.gateway.material import SIZES
from bench.gateway.site import Site


@dataclass(frozen=True)
class Pod:
    """A stub that looks at `slots` images at once, as pods that batch do, so long over each."""

    milliseconds: float
    slots: int = 25

    @property
    def capacity(self) -> float:
        """Images a second."""
        return self.slots / self.milliseconds * 1000

    @property
    def crowd(self) -> float:
        """Calls a second that are ten times too many."""
        return 10 * self.capacity


FIFTY = Pod(500.0)
"""Fifty images a second: what the promises ask for."""
SLOW = Pod(1000.0)
"""Half of that, for machines that other work shares."""


@dataclass(frozen=True)
class Crowded:
    """A gateway, its pod, and the caller's side of both."""

    site: Site
    pod: Pod
    address: str
    process: psutil.Process

    @property
    def spec(self) -> Spec:
        """A load without its shape."""
        credentials = str(self.site.credentials("pipeline"))
        return Spec("check", self.address, credentials, SIZES["20 KB"], warm_seconds=0.0)

    def closed(self, clients: int, seconds: float, warm: float = 1.0) -> Outcome:
        """What so many callers get, one call at a time each."""
        return loaded(replace(self.spec, clients=clients, seconds=seconds, warm_seconds=warm, seed=clients))

    def opened(self, per_second: float, seconds: float, seed: int) -> Outcome:
        """What callers get who come at their own times."""
        return loaded(replace(self.spec, per_second=per_second, seconds=seconds, seed=seed))


@contextmanager
def crowded(folder: Path, look: Pod) -> Iterator[Crowded]:
    """The gateway with the settings that it ships with, and the pod, each in a process of its own."""
    site, cores = Site.make(folder), sorted(psutil.Process().cpu_affinity() or ())
    pod, door = free_port(), free_port()
    own = str(site.credentials("pipeline"))
    stub = site.stub(pod, milliseconds=look.milliseconds, slots=look.slots)
    gateway = site.gateway("gateway", door, [f"127.0.0.1:{pod}"])
    with (
        ServerProcess(stub, cores=cores, env={}, log=folder / "pod.log"),
        ServerProcess(gateway, cores=cores, env={}, log=folder / "gateway.log") as server,
    ):
        asyncio.run(answers(Spec("infer", f"127.0.0.1:{pod}", own, SIZES["20 KB"])))
        asyncio.run(answers(Spec("check", f"127.0.0.1:{door}", own, SIZES["20 KB"])))
        yield Crowded(site, look, f"127.0.0.1:{door}", server.process)
