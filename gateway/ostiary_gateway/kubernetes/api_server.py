"""Talks to a cluster's API server: objects as they come over the wire, in one namespace."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kubernetes_asyncio.client import ApiClient

Json = dict[str, Any]
MERGE_PATCH = "application/merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"
_OWN_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_SECONDS = 15.0
_PAGE = 250


@dataclass(frozen=True)
class Resource:
    """A kind of object, as the API names it in paths and in objects."""

    group: str
    version: str
    plural: str
    kind: str


ROUTES = Resource("ostiary.dev", "v1alpha1", "trafficroutes", "TrafficRoute")
POLICIES = Resource("ostiary.dev", "v1alpha1", "moderationpolicies", "ModerationPolicy")
REGISTRIES = Resource("ostiary.dev", "v1alpha1", "brandregistries", "BrandRegistry")
SLICES = Resource("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice")
LEASES = Resource("coordination.k8s.io", "v1", "leases", "Lease")


class ApiFailure(Exception):  # noqa: N818  # as Kubernetes calls it, a Status of Failure
    """The API server refused, or did not answer: `code` is its HTTP status, 0 where there was none.

    Attributes:
        retry_after: seconds after which it wants to be asked again; 0 where it did not say.
    """

    def __init__(self, code: int, message: str, retry_after: float = 0.0) -> None:
        self.code = code
        self.retry_after = retry_after
        super().__init__(message)


class Gone(ApiFailure):
    """A watch cannot go on from where it was: what happened since is no longer known there."""


class ApiServer:
    """One namespace of a cluster. For one event loop."""

    def __init__(self, client: "ApiClient", namespace: str) -> None:
        self._client = client
        self.namespace = namespace

    async def list(self, resource: Resource, **query: str) -> tuple[dict[str, Json], str]:
        """All objects by name, and the version that a watch goes on from. Raises ApiFailure."""
        objects: dict[str, Json] = {}
        query = {"limit": str(_PAGE), **query}
        while True:
            page = await self._call("GET", self._path(resource), query=query)
            objects |= {one["metadata"]["name"]: one for one in page.get("items") or ()}
            follows = page["metadata"].get("continue")
            if not follows:
                return objects, str(page["metadata"]["resourceVersion"])
            query["continue"] = follows

    async def watch(
        self, resource: Resource, version: str, seconds: float, **query: str
    ) -> AsyncIterator[tuple[str, Json]]:
        """Type and object of each event after `version`, bookmarks among them, for about so many seconds.

        Raises:
            Gone: list again.
            ApiFailure: the watch broke off.
        """
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(round(seconds)),
            **query,
        }
        # A connection that died without a word is noticed soon after the watch should have ended.
        async with self._response("GET", self._path(resource), query, seconds=seconds + _SECONDS) as response:
            async for line in response.content:
                event = json.loads(line)
                if event["type"] == "ERROR":
                    status = event["object"]
                    kind = Gone if status.get("code") == 410 else ApiFailure
                    raise kind(int(status.get("code", 0)), str(status.get("message", status)))
                yield event["type"], event["object"]

    async def create(self, resource: Resource, body: Json) -> Json:
        """The object as it was made. Raises ApiFailure: 409 where one of the name is there."""
        return await self._call("POST", self._path(resource), body=body)

    async def patch(
        self, resource: Resource, name: str, body: Json, kind: str = MERGE_PATCH, part: str = "", **query: str
    ) -> Json:
        """The object as it is afterwards; `part` is a subresource. Raises ApiFailure."""
        path = self._path(resource, name) + (f"/{part}" if part else "")
        return await self._call("PATCH", path, query=query, body=body, content=kind)

    async def delete(self, resource: Resource, name: str) -> None:
        """Removes an object; none is there afterwards. Raises ApiFailure."""
        try:
            await self._call("DELETE", self._path(resource, name))
        except ApiFailure as failure:
            if failure.code != 404:
                raise

    def _path(self, resource: Resource, name: str = "") -> str:
        root = f"/apis/{resource.group}/{resource.version}/namespaces/{self.namespace}/{resource.plural}"
        return f"{root}/{name}" if name else root

    async def _call(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Json | None = None,
        content: str = "application/json",
    ) -> Json:
        async with self._response(method, path, query or {}, body, content) as response:
            return dict(json.loads(await response.read()))

    @asynccontextmanager
    async def _response(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: Json | None = None,
        content: str = "application/json",
        seconds: float = _SECONDS,
    ) -> AsyncIterator[Any]:
        """An answer of success; ApiFailure for any other, and for whatever goes wrong while it is read."""
        import aiohttp

        headers = {"Accept": "application/json", "Content-Type": content}
        try:
            response = await self._client.call_api(
                path,
                method,
                query_params=list(query.items()),
                header_params=headers,
                body=body,
                auth_settings=["BearerToken"],
                _preload_content=False,
                _request_timeout=seconds,
            )
            async with response:
                if response.status >= 300:
                    raise _failure(response.status, response.headers, await response.read())
                yield response
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise ApiFailure(0, f"no answer from the API server: {error or type(error).__name__}") from error
        except (KeyError, TypeError, ValueError) as error:
            raise ApiFailure(0, f"an answer that cannot be understood: {error}") from error


def _failure(code: int, headers: Mapping[str, str], data: bytes) -> ApiFailure:
    try:
        message = str(json.loads(data)["message"])
    except (KeyError, TypeError, ValueError):
        message = data[:200].decode(errors="replace")
    after = headers.get("Retry-After", "")
    kind = Gone if code == 410 else ApiFailure
    return kind(code, f"{code}: {message}", float(after) if after.isdigit() else 0.0)


@asynccontextmanager
async def connected(
    namespace: str | None, kubeconfig: Path | None, context: str | None
) -> AsyncIterator[ApiServer]:
    """The API server of the cluster that this process runs in, or of a kubeconfig.

    Args:
        namespace: where the objects are; None: that of the process's service account, or of the context.
        kubeconfig: for a process outside; None: it runs in the cluster.
        context: one of the kubeconfig; None: its current one.

    Raises:
        ValueError: there is no client, no cluster, or no such context; the message says what to do.
    """
    try:
        from kubernetes_asyncio import client, config
    except ImportError as error:
        raise ValueError("kubernetes: the client is missing: pip install 'ostiary[kubernetes]'") from error
    configuration = client.Configuration()
    try:
        if kubeconfig is None:
            config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
            found = await asyncio.to_thread(_own_namespace)
        else:
            loader = await config.load_kube_config(
                str(kubeconfig), context, client_configuration=configuration, persist_config=False
            )
            found = str(((loader.current_context or {}).get("context") or {}).get("namespace") or "default")
    except (config.ConfigException, OSError) as error:
        what = "set kubernetes.kubeconfig, or run in a pod with a service account"
        raise ValueError(f"kubernetes: {error}: {what}") from error
    configuration.connection_pool_maxsize = 20
    async with client.ApiClient(configuration) as api:
        yield ApiServer(api, namespace or found)


def _own_namespace() -> str:
    return _OWN_NAMESPACE.read_text(encoding="utf-8").strip()
