"""Talks to the API server: the only module that does, apart from the watches."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
from kubernetes_asyncio import client, config

from ostiary_operator.cluster.kinds import MANAGER, Json, Kind

_APPLY, _MERGE = "application/apply-patch+yaml", "application/merge-patch+json"
_OWN_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_SECONDS = 5.0
_PAGE = 500
_FRESH_STARTS = 5


class ApiFailure(Exception):  # noqa: N818  # as Kubernetes calls it, a Status of Failure
    """The API server refused, or did not answer: `code` is its HTTP status, 0 where there was none.

    Attributes:
        retry_after: seconds after which it wants to be asked again; 0 where it did not say.
    """

    def __init__(self, code: int, message: str, retry_after: float = 0.0) -> None:
        self.code = code
        self.retry_after = retry_after
        super().__init__(message)

    @property
    def refused(self) -> bool:
        """Whether asking the same again is of no use: what was sent makes no sense to the server."""
        return self.code in (400, 403, 404, 422)


class Conflict(ApiFailure):
    """The object is not as it was seen, or there already."""


class NotFound(ApiFailure):
    """There is no such object."""


class Gone(ApiFailure):
    """A list cannot be gone on with: what it began with is no longer known there."""


_KINDS = {404: NotFound, 409: Conflict, 410: Gone}


class Api:
    """One cluster. For one event loop. All methods raise ApiFailure."""

    def __init__(self, api_client: client.ApiClient, seconds: float = _SECONDS) -> None:
        """`seconds`: for how long an answer is waited for."""
        self._client = api_client
        self._seconds = seconds

    async def every(self, kind: Kind, namespace: str) -> tuple[list[Json], str]:
        """All objects of a kind that concern the keeper, page by page, and the version of the whole list."""
        for _ in range(_FRESH_STARTS):
            try:
                return await self._pages(kind, namespace)
            except Gone:
                continue  # it took so long that the rest is no longer to be had: from the beginning
        raise Gone(410, f"{kind.plural}: the list was gone {_FRESH_STARTS} times before its end")

    async def _pages(self, kind: Kind, namespace: str) -> tuple[list[Json], str]:
        query = {"limit": str(_PAGE)} | ({"labelSelector": kind.select} if kind.select else {})
        found: list[Json] = []
        while True:
            page = await self._call("GET", kind.path(namespace), query)
            found += page.get("items") or ()
            metadata = page["metadata"]
            if not metadata.get("continue"):
                return found, str(metadata["resourceVersion"])
            query["continue"] = metadata["continue"]

    async def get(self, kind: Kind, namespace: str, name: str) -> Json:
        """One object."""
        return await self._call("GET", kind.path(namespace, name))

    async def apply(self, kind: Kind, obj: Json, part: str = "") -> Json:
        """Server-side apply: these fields are the keeper's from now on, and no others are touched.

        With a resourceVersion in the object's metadata, only where it is still as it was seen. `part`: a
        subresource.
        """
        metadata = obj["metadata"]
        path = kind.path(metadata["namespace"], metadata["name"]) + (f"/{part}" if part else "")
        body = {"apiVersion": kind.api_version, "kind": kind.name, **obj}
        query = {"fieldManager": MANAGER, "force": "true"}
        return await self._call("PATCH", path, query, body, _APPLY)

    async def create(self, kind: Kind, obj: Json) -> Json:
        """A new object; Conflict where one of the name is there."""
        body = {"apiVersion": kind.api_version, "kind": kind.name, **obj}
        path = kind.path(obj["metadata"]["namespace"])
        return await self._call("POST", path, {"fieldManager": MANAGER}, body)

    async def merge(self, kind: Kind, namespace: str, name: str, change: Json, part: str = "") -> Json:
        """A merge patch; with a resourceVersion in it, only where the object is still as it was seen."""
        path = kind.path(namespace, name) + (f"/{part}" if part else "")
        return await self._call("PATCH", path, {"fieldManager": MANAGER}, change, _MERGE)

    async def replace(self, kind: Kind, obj: Json) -> Json:
        """The object as a whole, as long as it is as it was seen."""
        path = kind.path(obj["metadata"]["namespace"], obj["metadata"]["name"])
        return await self._call("PUT", path, {"fieldManager": MANAGER}, obj)

    async def delete(self, kind: Kind, namespace: str, name: str) -> None:
        """No object of the name is there afterwards, or soon, nor what it owned."""
        try:
            await self._call("DELETE", kind.path(namespace, name), {"propagationPolicy": "Background"})
        except NotFound:
            return

    async def _call(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Json | None = None,
        content: str = "application/json",
    ) -> Json:
        try:
            response = await self._client.call_api(
                path,
                method,
                query_params=list((query or {}).items()),
                header_params={"Accept": "application/json", "Content-Type": content},
                body=body,
                auth_settings=["BearerToken"],
                _preload_content=False,
                _request_timeout=self._seconds,
            )
            async with response:
                data = await response.read()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            what = str(error) or type(error).__name__
            raise ApiFailure(0, f"{method} {path}: no answer from the API server: {what}") from error
        if response.status >= 300:
            raise _failure(f"{method} {path}", response.status, response.headers, data)
        try:
            return dict(json.loads(data))
        except ValueError as error:
            raise ApiFailure(0, f"{method} {path}: not JSON: {error}") from error


def _failure(what: str, code: int, headers: Mapping[str, str], data: bytes) -> ApiFailure:
    try:
        message = str(json.loads(data)["message"])
    except (KeyError, TypeError, ValueError):
        message = data[:200].decode(errors="replace")
    after = headers.get("Retry-After", "")
    kind = _KINDS.get(code, ApiFailure)
    return kind(code, f"{what}: {code}: {message}", float(after) if after.isdigit() else 0.0)


async def configured(kubeconfig: Path | None, context: str | None) -> tuple[client.Configuration, str]:
    """How the API server is reached, and the namespace that is meant where none is given: by a kubeconfig, or
    by the cluster that this process runs in.

    Raises:
        ValueError: there is none; the message says what to do.
    """
    configuration = client.Configuration()
    try:
        if kubeconfig is None:
            config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
            namespace = await asyncio.to_thread(_OWN_NAMESPACE.read_text, encoding="utf-8")
        else:
            loader = await config.load_kube_config(
                str(kubeconfig), context, client_configuration=configuration, persist_config=False
            )
            found = (loader.current_context or {}).get("context") or {}
            namespace = str(found.get("namespace") or "default")
    except (config.ConfigException, OSError) as error:
        what = "give --kubeconfig, or run in a pod with a service account"
        raise ValueError(f"{error}: {what}") from error
    configuration.connection_pool_maxsize = 20
    return configuration, namespace.strip()


@asynccontextmanager
async def connected(configuration: client.Configuration) -> AsyncIterator[Api]:
    """The cluster of a configuration."""
    async with client.ApiClient(configuration) as api_client:
        yield Api(api_client)
