"""What a cluster said last, on disk: a gateway whose API server is away at its start goes on with that."""

import asyncio
import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import structlog

from ostiary_gateway.durable import replace_file
from ostiary_gateway.kubernetes.api_server import Json, Resource
from ostiary_gateway.kubernetes.outgoing import Outgoing

_log = structlog.get_logger(__name__)
KEPT = "lastKnown"
"""Marks an object that comes from disk: nobody is told that it was taken up."""


Keep = Callable[[Resource, Mapping[str, Json]], None]
"""Is given the objects of a kind that are in force."""


def keep_nothing(_: Resource, __: Mapping[str, Json]) -> None:
    """Where no folder is named."""


@dataclass(frozen=True)
class Kept:
    """Objects by name, and when they were last what the cluster said, in seconds since 1970."""

    objects: Mapping[str, Json]
    at: float


class LastKnown:
    """A folder with a file for each kind. For one event loop; run `run` beside the server.

    A file's first line is the SHA-256 of what follows, which names kind, namespace and selection: one that is
    torn, or of other settings, is not taken.
    """

    def __init__(self, folder: Path, namespace: str, model: str | None) -> None:
        """`model`: whose route and pods are kept; None where they are not.

        Raises:
            ValueError: the folder cannot be made or written; the message names it.
        """
        self._folder = folder
        self._of = {"namespace": namespace, "model": model}
        self._outgoing = Outgoing(self._write)
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise ValueError(f"kubernetes.last_known: {folder}: {error.strerror or error}") from error
        if not os.access(folder, os.W_OK | os.X_OK):
            raise ValueError(f"kubernetes.last_known: {folder} cannot be written to")

    def keep(self, resource: Resource, objects: Mapping[str, Json]) -> None:
        """These are in force now; what comes from here is kept already."""
        if any(KEPT in one for one in objects.values()):
            return
        body = json.dumps({**self._of, "kind": resource.plural, "objects": objects}).encode()
        self._outgoing.put(resource.plural, hashlib.sha256(body).hexdigest().encode() + b"\n" + body)

    async def run(self) -> None:
        """Write what is to be kept, until cancelled; a disk that is full costs a warning, and no check."""
        await self._outgoing.run()

    async def _write(self, plural: str, data: bytes) -> None:
        try:
            await asyncio.to_thread(replace_file, self._path(plural), data)
        except OSError as error:
            _log.warning("last known state not kept", of=plural, error=str(error))

    def still(self, resource: Resource) -> None:
        """What is kept of a kind is what the cluster says now. Raises OSError, other than for want of it."""
        try:
            os.utime(self._path(resource.plural))
        except FileNotFoundError:
            return

    def read(self, resource: Resource) -> Kept | None:
        """What is kept of a kind; None where it is missing, or not whole, or of other settings."""
        path = self._path(resource.plural)
        try:
            at, data = path.stat().st_mtime, path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            _log.error("last known state cannot be read", file=str(path), error=str(error))
            return None
        told, _, body = data.partition(b"\n")
        if told.decode("ascii", "replace") != hashlib.sha256(body).hexdigest():
            _log.error("last known state is not whole; remove it", file=str(path))
            return None
        found = json.loads(body)
        if {**found, "objects": None} != {**self._of, "kind": resource.plural, "objects": None}:
            _log.error("last known state is of other settings; remove it", file=str(path))
            return None
        return Kept({name: {**one, KEPT: True} for name, one in found["objects"].items()}, at)

    def _path(self, plural: str) -> Path:
        return self._folder / f"{plural}.json"
