"""Watches: what changes, as it changes, from any version that is still known."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from ostiary_operator.sandbox.api import status
from ostiary_operator.sandbox.api.lists import Selects, revision_of, selection
from ostiary_operator.sandbox.api.request import options_invalid
from ostiary_operator.sandbox.api.resources import Resource
from ostiary_operator.sandbox.api.store import ADDED, DELETED, MODIFIED, Event, GoneError, Store

Json = dict[str, Any]
Notice = tuple[str, Json]
"""Type and object of a watch event."""

INITIAL_EVENTS_END = "k8s.io/initial-events-end"


class Watch:
    """One watch of one resource."""

    def __init__(
        self,
        store: Store,
        resource: Resource,
        namespace: str | None,
        query: Mapping[str, str],
        bookmark_every: float,
    ) -> None:
        self._resource = resource
        self._namespace = namespace
        self._selects: Selects | None = selection(resource, query)
        self._store = store
        self._bookmarks = query.get("allowWatchBookmarks", "").lower() in ("true", "1")
        self._bookmark_every = bookmark_every
        self._waiting: deque[Notice] = deque()
        self._news = asyncio.Event()
        self._ended = False
        self._timeout = _seconds(query.get("timeoutSeconds", ""))
        version = query.get("resourceVersion", "")
        initial = self._initial(query, version)
        self._sent = store.revision
        self._stop: Callable[[], None] = lambda: None
        if initial:
            self._stop = store.listen(resource.bucket, self._hear)
            for key, stored in store.items(resource.bucket, namespace):
                if self._chosen(key[0], stored.data):
                    self._waiting.append((ADDED, stored.data))
            if initial == "marked" and self._bookmarks:
                self._waiting.append(("BOOKMARK", self._bookmark(store.revision, end=True)))
            return
        self._sent = revision_of(version)
        try:
            for event in store.since(resource.bucket, self._sent):
                self._hear(event)
        except GoneError as error:
            self._waiting.append(("ERROR", status.expired(str(error)).status()))
            self._ended = True
            return
        self._stop = store.listen(resource.bucket, self._hear)

    def _initial(self, query: Mapping[str, str], version: str) -> str:
        wants = query.get("sendInitialEvents", "").lower()
        match = query.get("resourceVersionMatch", "")
        if wants and match != "NotOlderThan":
            detail = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
            error = status.forbidden_field("resourceVersionMatch", detail)
            raise options_invalid("ListOptions", [error])
        if match and not wants:
            detail = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
            raise options_invalid("ListOptions", [status.forbidden_field("resourceVersionMatch", detail)])
        if wants in ("true", "1"):
            return "marked"
        if wants:
            return "" if version not in ("", "0") else "none"
        return "plain" if version in ("", "0") else ""

    def _chosen(self, namespace: str, obj: Json) -> bool:
        if self._namespace is not None and namespace != self._namespace:
            return False
        return self._selects is None or self._selects(obj)

    def _hear(self, event: Event) -> None:
        before = event.before is not None and self._chosen(event.key[0], event.before.data)
        now = event.type != DELETED and self._chosen(event.key[0], event.now.data)
        if now:
            self._waiting.append((MODIFIED if before else ADDED, event.now.data))
        elif before:
            last = event.now.data
            if event.type != DELETED and event.before is not None:
                version = {"resourceVersion": str(event.revision)}
                last = event.before.data | {"metadata": event.before.data["metadata"] | version}
            self._waiting.append((DELETED, last))
        self._news.set()

    def _bookmark(self, revision: int, *, end: bool = False) -> Json:
        metadata: Json = {"resourceVersion": str(revision), "creationTimestamp": None}
        if end:
            metadata["annotations"] = {INITIAL_EVENTS_END: "true"}
        resource = self._resource
        return {"kind": resource.kind, "apiVersion": resource.group_version, "metadata": metadata}

    async def notices(self) -> AsyncIterator[Notice]:
        """The events, until the watch's time is over or it ended in an error."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._timeout if self._timeout else None
        try:
            while True:
                while self._waiting:
                    yield self._waiting.popleft()
                if self._ended:
                    return
                self._news.clear()
                wait = self._bookmark_every
                if deadline is not None:
                    wait = min(wait, deadline - loop.time())
                try:
                    async with asyncio.timeout(max(wait, 0)):
                        await self._news.wait()
                except TimeoutError:
                    if self._bookmarks and not self._waiting:
                        yield "BOOKMARK", self._bookmark(self._store.revision)
                    if deadline is not None and loop.time() >= deadline:
                        return
        finally:
            self._stop()

    def end(self) -> None:
        """Ends the watch, as a server does that goes away."""
        self._ended = True
        self._news.set()


def _seconds(text: str) -> float:
    return float(text) if text.isdigit() else 0.0
