"""Kopf's handlers: what watches tell is handed on, and nothing else.

No handler here changes an object: kopf puts no annotations and no finalizers on what is only listened to.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import kopf
from kubernetes_asyncio import client

from ostiary_operator.cluster.kinds import WATCHED, Kind
from ostiary_operator.cluster.knowing import Knowing

_WATCH_SECONDS = 300
_SILENCE_SECONDS = 75.0


def registry(knowing: Knowing, configuration: client.Configuration) -> kopf.OperatorRegistry:
    """Handlers for everything that the keeper keeps in mind."""
    made = kopf.OperatorRegistry()
    for kind in WATCHED:
        _listen(made, kind, knowing)

    @kopf.on.login(registry=made)  # type: ignore[misc, unused-ignore]
    async def login(**_: Any) -> kopf.ConnectionInfo:
        # The token of a service account is replaced every hour: the client reads it anew as it is asked for.
        token: Any = await configuration.get_api_key_with_prefix("BearerToken")
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


def _listen(made: kopf.OperatorRegistry, kind: Kind, knowing: Knowing) -> None:
    @kopf.on.event(kind.group, kind.version, kind.plural, registry=made)  # type: ignore[misc, unused-ignore]
    async def hand_on(event: Any, **_: Any) -> None:
        knowing.told(kind, event["type"], dict(event["object"]))


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
    stop: asyncio.Event,
    ready: asyncio.Event,
    chosen: kopf.OperatorSettings | None = None,
) -> None:
    """Kopf, running, until `stop` is set or the process is told to end."""
    await kopf.operator(
        registry=registry(knowing, configuration),
        settings=chosen or settings(),
        namespaces=list(namespaces),
        stop_flag=stop,
        ready_flag=ready,
        standalone=True,
    )
