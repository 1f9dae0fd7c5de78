"""A cluster as the kubeconfig of whoever runs the command leads to it."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ostiary_operator.kubectl.failure import Changed, Failure

if TYPE_CHECKING:
    from kubernetes_asyncio.client import ApiClient

Json = dict[str, Any]
OSTIARY = "apis/ostiary.dev/v1alpha1"
_SECONDS = 15.0
_MANAGER = "kubectl-ostiary"


@dataclass(frozen=True)
class Target:
    """Which cluster and namespace. None: as the kubeconfig says."""

    namespace: str | None = None
    context: str | None = None
    kubeconfig: Path | None = None


class Cluster:
    """One namespace of a cluster."""

    def __init__(self, client: ApiClient, namespace: str, user: str) -> None:
        self._client = client
        self.namespace = namespace
        self._user = user
        self._ahead = 0.0

    def now(self) -> float:
        """Seconds since 1970 by the API server's clock, once it has answered: the one here may be wrong."""
        return time.time() + self._ahead

    async def get(self, root: str, plural: str, name: str) -> Json | None:
        """An object, or None; `root` is `api/v1` or `apis/GROUP/VERSION`. Raises Failure."""
        try:
            return await self._call("GET", self._path(root, plural, name))
        except _NotFound:
            return None

    async def list(self, root: str, plural: str, **query: str) -> list[Json]:
        """All objects of a kind in the namespace. Raises Failure; where there is no such kind, too."""
        try:
            found = await self._call("GET", self._path(root, plural), query)
        except _NotFound as error:
            raise Failure(
                f"the cluster does not know {plural}: apply the definitions of manifests/crds"
            ) from error
        return list(found.get("items") or ())

    async def create(self, plural: str, body: Json) -> Json:
        """Makes one of Ostiary's objects. Raises Failure."""
        try:
            return await self._call("POST", self._path(OSTIARY, plural), {"fieldManager": _MANAGER}, body)
        except _NotFound as error:
            raise Failure(
                f"the cluster does not know {plural}: apply the definitions of manifests/crds"
            ) from error

    async def merge(self, plural: str, name: str, change: Json) -> Json:
        """A merge patch of one of Ostiary's objects.

        Raises:
            Changed: the patch has a resourceVersion or a uid, and the object has another one by now.
            Failure: it is refused.
        """
        path = self._path(OSTIARY, plural, name)
        return await self._call("PATCH", path, {"fieldManager": _MANAGER}, change)

    async def who(self) -> str:
        """Whose credentials these are, as the API server knows them; else as the kubeconfig calls them."""
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        try:
            said = await self._call("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", {}, body)
            return str(said["status"]["userInfo"]["username"])
        except (Failure, _NotFound, KeyError):
            return self._user

    def _set_clock(self, date: str) -> None:
        """`date` tells whole seconds, so that less than one apart means nothing."""
        try:
            ahead = parsedate_to_datetime(date).timestamp() + 0.5 - time.time()
        except ValueError:
            return
        self._ahead = ahead if abs(ahead) > 1.0 else 0.0

    def _path(self, root: str, plural: str, name: str = "") -> str:
        path = f"/{root}/namespaces/{self.namespace}/{plural}"
        return f"{path}/{name}" if name else path

    async def _call(
        self, method: str, path: str, query: Mapping[str, str] | None = None, body: Json | None = None
    ) -> Json:
        import aiohttp

        content = "application/merge-patch+json" if method == "PATCH" else "application/json"
        try:
            response = await self._client.call_api(
                path,
                method,
                query_params=list((query or {}).items()),
                header_params={"Accept": "application/json", "Content-Type": content},
                body=body,
                auth_settings=["BearerToken"],
                _preload_content=False,
                _request_timeout=_SECONDS,
            )
            async with response:
                data = await response.read()
                status = response.status
                self._set_clock(response.headers.get("Date", ""))
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            host = self._client.configuration.host
            raise Failure(
                f"the API server at {host} does not answer ({error or type(error).__name__}): is --context "
                "right?"
            ) from error
        if status < 300:
            return dict(json.loads(data))
        raise _refused(status, data)


class _NotFound(Exception):  # noqa: N818  # as Kubernetes calls it
    """There is no such thing."""


def _refused(status: int, data: bytes) -> Exception:
    try:
        said = json.loads(data)
    except ValueError:
        said = {}
    message = str(said.get("message") or data[:200].decode(errors="replace"))
    if status == 404:
        return _NotFound(message)
    if status == 401:
        return Failure(f"the API server does not know you: {message}: log in again, or see --context")
    if status == 403:
        return Failure(f"{message}: ask for a role that may, or see --context")
    return Changed(message) if status == 409 else Failure(message)


@asynccontextmanager
async def opened(target: Target) -> AsyncIterator[Cluster]:
    """The cluster of a kubeconfig; without one, that which the process runs in.

    Raises:
        Failure: there is none, or it cannot be read.
    """
    try:
        from kubernetes_asyncio import client, config
    except ImportError as error:
        raise Failure("the Kubernetes client is missing: pip install 'ostiary[operator]'") from error
    configuration = client.Configuration()
    given = str(target.kubeconfig) if target.kubeconfig else None
    try:
        loader = await config.load_kube_config(
            given, target.context, client_configuration=configuration, persist_config=False
        )
    except (config.ConfigException, OSError, ValueError, TypeError) as error:
        raise Failure(
            f"no kubeconfig that can be used ({error}): give --kubeconfig, or set KUBECONFIG; see `kubectl "
            "config get-contexts`"
        ) from error
    chosen = (loader.current_context or {}).get("context") or {}
    configuration.retries = False
    async with client.ApiClient(configuration) as api:
        yield Cluster(
            api,
            target.namespace or str(chosen.get("namespace") or "default"),
            str(chosen.get("user") or "unknown"),
        )
