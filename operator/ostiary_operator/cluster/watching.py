"""Kopf's handlers: what watches tell is handed on, and nothing else.

No handler here changes an object: kopf puts no annotations and no finalizers on what is only listened to.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any

import kopf
from kubernetes_asyncio import client

from ostiary_operator.cluster.kinds import WATCHED, Json, Kind
from ostiary_operator.cluster.knowing import Knowing
from ostiary_operator.cluster.pulse import Pulse

Told = Callable[[Kind, str | None, Json], None]
_WATCH_SECONDS = 300
_SILENCE_SECONDS = 75.0
_CLOSING_SECONDS = 0.25
"""What aiohttp needs to close TLS connections before the loop goes."""


def registry(told: Told, configuration: client.Configuration) -> kopf.OperatorRegistry:
    """Handlers for everything that the keeper keeps in mind; `told` is given each event."""
    made = kopf.OperatorRegistry()
    for kind in WATCHED:
        _listen(made, kind, told)

    @kopf.on.login(registry=made)  # type: ignore[misc, unused-ignore]
    async def login(**_told: Any) -> kopf.ConnectionInfo:
        # The token of a service account is replaced every hour: the client reads it anew as it is asked for.
        token = await configuration.get_api_key_with_prefix("BearerToken")
        scheme, _, value = str(token or "").partition(" ")
        return kopf.ConnectionInfo(
            server=str(configuration.host),
            ca_path=configuration.ssl_ca_cert,
            insecure=not configuration.verify_ssl,
            certificate_path=configuration.cert_file,
            private_key_path=configuration.key_file,
            scheme=scheme if value else None,
            token=value or None,
        )

    return made


def _listen(made: kopf.OperatorRegistry, kind: Kind, told: Told) -> None:
    @kopf.on.event(kind.group, kind.version, kind.plural, registry=made)  # type: ignore[misc, unused-ignore]
    async def hand_on(event: Any, **_: Any) -> None:
        told(kind, event["type"], dict(event["object"]))


def settings() -> kopf.OperatorSettings:
    """Watches that end now and then, so that none is silent for long; nothing that kopf does by itself."""
    made = kopf.OperatorSettings()
    made.posting.enabled = False
    made.peering.standalone = True
    made.scanning.disabled = True
    made.networking.trust_env = False
    made.networking.enforce_retry_after = True
    made.watching.server_timeout = _WATCH_SECONDS
    made.watching.inactivity_timeout = _SILENCE_SECONDS
    made.watching.chunk_size = 500
    for kind in WATCHED:
        if kind.select:
            made.watching.label_selectors[kind.group, kind.version, kind.plural] = kind.select
    return made


async def watch(
    knowing: Knowing,
    configuration: client.Configuration,
    namespaces: Sequence[str],
    ready: Callable[[], None],
    pulse: Pulse,
    chosen: kopf.OperatorSettings | None = None,
) -> None:
    """Kopf, running, until cancelled. Returns, or raises what went wrong, where kopf ends by itself.

    It has a thread and an event loop of its own: when it ends it takes everything down that began in its loop
    after it, and in the main thread it takes the process's signals.
    """
    # It tells of each event that it was handed on.
    logging.getLogger("kopf.objects").setLevel(logging.WARNING)
    # It warns that it leaves signals alone, which is what is wanted.
    logging.getLogger("kopf._core.reactor.running").setLevel(logging.ERROR)
    loop, stop = asyncio.get_running_loop(), threading.Event()
    watched: concurrent.futures.Future[object] = concurrent.futures.Future()
    watched.add_done_callback(lambda _: loop.call_soon_threadsafe(ready))

    def told(kind: Kind, event: str | None, obj: Json) -> None:
        if not stop.is_set():
            loop.call_soon_threadsafe(knowing.told, kind, event, obj)

    async def beat() -> None:
        while True:
            pulse.beat()
            await asyncio.sleep(1.0)

    async def operate() -> None:
        beating = asyncio.create_task(beat(), name="pulse")
        await kopf.operator(
            registry=registry(told, configuration),
            settings=chosen or settings(),
            namespaces=list(namespaces),
            stop_flag=stop,
            ready_flag=watched,
            standalone=True,
        )
        beating.cancel()
        pulse.ended()
        await asyncio.sleep(_CLOSING_SECONDS)

    running = asyncio.create_task(asyncio.to_thread(lambda: asyncio.run(operate())), name="kopf")
    try:
        await asyncio.shield(running)
    finally:
        stop.set()
        await running
