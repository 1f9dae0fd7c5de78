"""The HTTP of the API server: who asks, whether they may, and what answers."""

import asyncio
import ssl
from collections.abc import Callable
from typing import Any

import structlog
from aiohttp import web

from ostiary_operator.sandbox.api import discovery, openapi, status
from ostiary_operator.sandbox.api.accept import Accept
from ostiary_operator.sandbox.api.answers import as_json, failure
from ostiary_operator.sandbox.api.call import Backend, Call
from ostiary_operator.sandbox.api.rbac import Question
from ostiary_operator.sandbox.api.request import Caller
from ostiary_operator.sandbox.api.target import Target, parse_path, verb_of
from ostiary_operator.sandbox.api.values import encoded

log = structlog.get_logger(__name__)

Json = dict[str, Any]
Authenticate = Callable[[str], Caller | None]
"""Who has this bearer token."""

_MOST_BODY = 3 * 1024 * 1024
_PROTO_V2 = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
"""Clients ask for it with an `@` before the version, which is not a media type that all of them can read."""
_INTO_CONTAINERS = frozenset(("attach", "exec", "portforward"))
_VERSION = {
    "major": "1", "minor": "34", "gitVersion": "v1.34.0+ostiary", "gitCommit": "", "gitTreeState": "clean",
    "buildDate": "1970-01-01T00:00:00Z", "goVersion": "none", "compiler": "none", "platform": "linux/amd64",
}  # fmt: skip


class Server:
    """Serves the API over HTTPS."""

    def __init__(self, backend: Backend, authenticate: Authenticate) -> None:
        self._backend = backend
        self._registry = backend.operations.registry
        self._authorizer = backend.authorizer
        self._authenticate = authenticate
        self._runner: web.ServerRunner | None = None
        self.port = 0

    async def start(self, host: str, port: int, context: ssl.SSLContext) -> None:
        """Listens."""
        server = web.Server(self._handle, request_factory=_request)
        self._runner = web.ServerRunner(server, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port, ssl_context=context, backlog=1024)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Listens no longer; watches end."""
        self.cut_watches()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def cut_watches(self) -> None:
        """Ends all watches."""
        for watch in self._backend.watches:
            watch.end()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            return await self._answer(request)
        except status.ApiError as error:
            return failure(error)
        except web.HTTPRequestEntityTooLarge:
            return failure(status.too_large_body(_MOST_BODY))
        except (ConnectionError, asyncio.CancelledError):
            raise
        except Exception as error:  # whatever a request does, its answer is a Status
            log.exception("a request failed", method=request.method, path=request.path)
            return failure(status.internal(repr(error)))

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        path, query = request.path, dict(request.query)
        if path in ("/healthz", "/livez", "/readyz"):
            return web.Response(text="ok")
        caller = self._caller(request)
        target = parse_path(path)
        if target is None:
            return self._public(request, caller)
        resource = self._registry.find(target.group, target.version, target.plural)
        if resource is None or (target.subresource and target.subresource not in resource.subresources):
            return web.Response(status=404, text="404 page not found\n")
        if not resource.namespaced and target.namespace is not None:
            return web.Response(status=404, text="404 page not found\n")
        if target.subresource in _INTO_CONTAINERS:
            self._authorize(caller, "create", target)
            raise status.not_here(target.subresource)
        verb = verb_of(request.method, target, query)
        self._authorize(caller, verb, target)
        if self._backend.faults.happens("slow", caller.name):
            await asyncio.sleep(self._backend.faults.plan.delay)
        self._backend.faults.before(verb, caller.name)
        accept = Accept.of(request.headers.get("Accept", ""))
        call = Call(self._backend, request, query, caller, target, resource, accept)
        answer = await call.run(verb)
        self._backend.faults.after(verb, caller.name)
        return answer

    def _caller(self, request: web.BaseRequest) -> Caller:
        header = request.headers.get("Authorization", "")
        if not header:
            return Caller("system:anonymous", ("system:unauthenticated",))
        scheme, _, token = header.partition(" ")
        caller = self._authenticate(token.strip()) if scheme.lower() == "bearer" else None
        if caller is None:
            raise status.unauthorized()
        caller = Caller(caller.name, (*caller.groups, "system:authenticated"), caller.uid)
        return self._impersonated(request, caller)

    def _impersonated(self, request: web.BaseRequest, caller: Caller) -> Caller:
        """Whom the caller acts as (`--as`), if anybody; 403 where that is not allowed."""
        name = request.headers.get("Impersonate-User", "")
        groups = request.headers.getall("Impersonate-Group", [])
        if not name:
            if groups:
                message = f"requested {groups!r} without impersonating a user"
                raise status.internal(message)
            return caller
        asked = [Question("impersonate", resource="groups", name=group) for group in groups]
        account = Caller(name)
        if account.namespace:
            who = {"resource": "serviceaccounts", "namespace": account.namespace}
            asked.insert(0, Question("impersonate", **who, name=name.rpartition(":")[2]))
            kinds = ("system:serviceaccounts", f"system:serviceaccounts:{account.namespace}")
            groups = groups or list(kinds)
        else:
            asked.insert(0, Question("impersonate", resource="users", name=name))
        for question in asked:
            if not self._authorizer.allows(caller, question):
                raise status.forbidden("", question.resource, question.name, question.denied(caller))
        everybody = "system:unauthenticated" if name == "system:anonymous" else "system:authenticated"
        return Caller(name, tuple(dict.fromkeys((*groups, everybody))))

    def _authorize(self, caller: Caller, verb: str, target: Target) -> None:
        namespace = target.namespace or ""
        if target.group == "" and target.plural == "namespaces" and target.name:
            namespace = target.name
        question = Question(
            verb, target.group, target.version, target.plural, target.subresource, namespace, target.name
        )
        if not self._authorizer.allows(caller, question):
            raise status.forbidden(target.group, target.plural, target.name, question.denied(caller))

    def _public(self, request: web.BaseRequest, caller: Caller) -> web.StreamResponse:
        path = request.path.rstrip("/") or "/"
        question = Question("get", path=path)
        if not self._authorizer.allows(caller, question):
            raise status.ApiError(403, "Forbidden", f"forbidden: {question.denied(caller)}", {})
        if path == "/version":
            return as_json(_VERSION)
        if path.startswith("/openapi"):
            return self._openapi(request, path)
        found = self._discovered(request, path)
        if found is None:
            return web.Response(status=404, text="404 page not found\n")
        return found

    def _discovered(self, request: web.BaseRequest, path: str) -> web.Response | None:
        parts = path.strip("/").split("/")
        accept = Accept.of(request.headers.get("Accept", ""))
        if path in ("/api", "/apis"):
            if accept.discovery:
                body = discovery.aggregated(self._registry, accept.discovery, core=path == "/api")
                words = (
                    f"application/json;g=apidiscovery.k8s.io;v={accept.discovery};as=APIGroupDiscoveryList"
                )
                return web.Response(body=encoded(body), headers={"Content-Type": words})
            return as_json(
                discovery.core_versions(request.host)
                if path == "/api"
                else discovery.group_list(self._registry)
            )
        found: Json | None = None
        if parts[0] == "api" and len(parts) == 2:
            found = discovery.resource_list(self._registry, "", parts[1])
        elif parts[0] == "apis" and len(parts) == 2:
            found = discovery.one_group(self._registry, parts[1])
        elif parts[0] == "apis" and len(parts) == 3:
            found = discovery.resource_list(self._registry, parts[1], parts[2])
        return None if found is None else as_json(found)

    def _openapi(self, request: web.BaseRequest, path: str) -> web.Response:
        parts = path.strip("/").split("/")[1:]
        if parts == ["v2"]:
            document = openapi.document_v2(self._registry)
            if _PROTO_V2 in request.headers.get("Accept", "").replace("@", "."):
                return web.Response(body=openapi.as_protobuf(document), headers={"Content-Type": _PROTO_V2})
            return as_json(document)
        if parts == ["v3"]:
            return as_json(openapi.index_v3(self._registry))
        group = "" if parts[1:2] == ["api"] else ".".join(parts[2:3])
        found = openapi.document_v3(self._registry, group, parts[-1])
        if found is None:
            return web.Response(status=404, text="404 page not found\n")
        if request.query.get("hash"):
            now = openapi.address_v3(self._registry, group, parts[-1])
            if request.query["hash"] != now.rpartition("=")[2]:
                return web.Response(status=301, headers={"Location": now})
        return as_json(found)


def _request(message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> web.BaseRequest:
    loop = asyncio.get_running_loop()
    return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=_MOST_BODY)
