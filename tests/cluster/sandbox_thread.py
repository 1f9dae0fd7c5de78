"""A sandbox in a thread with an event loop of its own, for tests that are not asynchronous."""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from ostiary_operator.sandbox.cluster import Cluster, Settings

T = TypeVar("T")


class SandboxThread:
    """Runs a cluster until it is closed."""

    def __init__(self, settings: Settings) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.cluster = Cluster(settings)
        self.call(self.cluster.start())

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Awaits something in the cluster's own loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def close(self) -> None:
        self.call(self.cluster.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()
