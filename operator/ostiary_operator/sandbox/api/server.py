"""The HTTP of the API server: from a request's path, query, headers and body to an operation and back."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import structlog
from aiohttp import web

from ostiary_operator.sandbox.api import bodies, discovery, openapi, status, tables, wire
from ostiary_operator.sandbox.api.conversion import converted
from ostiary_operator.sandbox.api.decoding import decode, whole
from ostiary_operator.sandbox.api.deletions import Deletions
from ostiary_operator.sandbox.api.lists import Page, page
from ostiary_operator.sandbox.api.metadata import timestamp
from ostiary_operator.sandbox.api.models import schema
from ostiary_operator.sandbox.api.operations import APPLIES, Operations
from ostiary_operator.sandbox.api.rbac import Authorizer, Question
from ostiary_operator.sandbox.api.request import Caller, Deletion, Write
from ostiary_operator.sandbox.api.resources import SCALE, Resource
from ostiary_operator.sandbox.api.scales import scale_of
from ostiary_operator.sandbox.api.values import at, encoded
from ostiary_operator.sandbox.api.watches import Notice, Watch
from ostiary_operator.sandbox.faults import Faults

log = structlog.get_logger(__name__)

Json = dict[str, Any]
Query = Mapping[str, str]
Authenticate = Callable[[str], Caller | None]
"""Who has this bearer token."""
ReadLog = Callable[[str, str, Query], Awaitable[bytes]]
"""What the container of a pod wrote."""
GiveToken = Callable[[str, str], str]
"""A token for the service account of a namespace and a name."""

MOST_BODY = 3 * 1024 * 1024
_JSON = "application/json"
_PROTO_V2 = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
"""Clients ask for it with an `@` before the version, which is not a media type that all of them can read."""
_READS = (_JSON, "application/yaml", wire.MEDIA_TYPE)
_TYPED = {"eviction": "V1Eviction", "binding": "V1Binding", "token": "AuthenticationV1TokenRequest"}
"""Models of what subresources take that are no part of their object."""
_INTO_CONTAINERS = frozenset(("attach", "exec", "portforward"))
_VERSION = {
    "major": "1", "minor": "34", "gitVersion": "v1.34.0+ostiary", "gitCommit": "", "gitTreeState": "clean",
    "buildDate": "1970-01-01T00:00:00Z", "goVersion": "none", "compiler": "none", "platform": "linux/amd64",
}  # fmt: skip


@dataclass(frozen=True)
class Target:
    """What a path names."""

    group: str
    version: str
    namespace: str | None
    plural: str
    name: str
    subresource: str


def parse_path(path: str) -> Target | None:
    """The resource that a path names, or None where it names none."""
    parts = path.strip("/").split("/")
    if parts[0] == "api" and len(parts) >= 3:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[0] == "apis" and len(parts) >= 4:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return None
    namespace = None
    if rest[0] == "namespaces" and len(rest) >= 3 and not (group == "" and rest[2] in ("status", "finalize")):
        namespace, rest = rest[1], rest[2:]
    if len(rest) > 3:
        return None
    padded = [*rest, "", ""]
    return Target(group, version, namespace, padded[0], padded[1], padded[2])


@dataclass(frozen=True)
class _Accept:
    """What the caller wants to get."""

    table: bool
    metadata_only: bool
    discovery: str
    protobuf: bool = False
    """Whether nothing but protobuf will do: whoever takes JSON too gets JSON."""

    @classmethod
    def of(cls, header: str) -> "_Accept":
        table = metadata_only = False
        aggregated, plain, protobuf = "", not header.strip(), False
        for part in header.split(","):
            words = [word.strip() for word in part.split(";")]
            options = dict(word.split("=", 1) for word in words[1:] if "=" in word)
            media = words[0]
            protobuf = protobuf or (media == wire.MEDIA_TYPE and "as" not in options)
            if media not in (_JSON, "application/*", "*/*"):
                plain = plain or media.startswith("text/") or "openapi" in media
                continue
            kind = options.get("as", "")
            if plain and not kind:
                continue
            if kind == "Table" and options.get("g") == "meta.k8s.io" and options.get("v") == "v1":
                table = table or not (plain or metadata_only)
                plain = True
            elif kind in ("PartialObjectMetadata", "PartialObjectMetadataList"):
                metadata_only = metadata_only or not (plain or table)
                plain = True
            elif kind == "APIGroupDiscoveryList":
                aggregated = aggregated or options.get("v", "")
                plain = True
            elif not kind:
                plain = True
        if not (plain or protobuf):
            raise status.not_acceptable(_READS)
        known = aggregated if aggregated in ("v2", "v2beta1") else ""
        return cls(table, metadata_only, known, protobuf=not plain)


class Server:
    """Serves the API over HTTPS."""

    def __init__(
        self,
        operations: Operations,
        deletions: Deletions,
        authorizer: Authorizer,
        authenticate: Authenticate,
        faults: Faults,
        read_log: ReadLog,
        give_token: GiveToken,
        *,
        bookmark_every: float = 30.0,
    ) -> None:
        self._operations = operations
        self._deletions = deletions
        self._registry = operations.registry
        self._authorizer = authorizer
        self._authenticate = authenticate
        self._faults = faults
        self._read_log = read_log
        self._give_token = give_token
        self._bookmark_every = bookmark_every
        self._watches: set[Watch] = set()
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
        for watch in self._watches:
            watch.end()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            return await self._answer(request)
        except status.ApiError as error:
            return _failure(error)
        except web.HTTPRequestEntityTooLarge:
            return _failure(status.too_large_body(MOST_BODY))
        except (ConnectionError, asyncio.CancelledError):
            raise
        except Exception as error:  # whatever a request does, its answer is a Status
            log.exception("a request failed", method=request.method, path=request.path)
            return _failure(status.internal(repr(error)))

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
        verb = _verb(request.method, target, query)
        self._authorize(caller, verb, target)
        if self._faults.happens("slow", caller.name):
            await asyncio.sleep(self._faults.plan.delay)
        self._faults.before(verb, caller.name)
        accept = _Accept.of(request.headers.get("Accept", ""))
        call = _Call(self, request, query, caller, target, resource, accept)
        answer = await call.run(verb)
        self._faults.after(verb, caller.name)
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
            return _json(_VERSION)
        if path.startswith("/openapi"):
            return self._openapi(request, path)
        found = self._discovered(request, path)
        if found is None:
            return web.Response(status=404, text="404 page not found\n")
        return found

    def _discovered(self, request: web.BaseRequest, path: str) -> web.Response | None:
        parts = path.strip("/").split("/")
        accept = _Accept.of(request.headers.get("Accept", ""))
        if path in ("/api", "/apis"):
            if accept.discovery:
                body = discovery.aggregated(self._registry, accept.discovery, core=path == "/api")
                words = (
                    f"application/json;g=apidiscovery.k8s.io;v={accept.discovery};as=APIGroupDiscoveryList"
                )
                return web.Response(body=encoded(body), headers={"Content-Type": words})
            return _json(
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
        return None if found is None else _json(found)

    def _openapi(self, request: web.BaseRequest, path: str) -> web.Response:
        parts = path.strip("/").split("/")[1:]
        if parts == ["v2"]:
            document = openapi.document_v2(self._registry)
            if _PROTO_V2 in request.headers.get("Accept", "").replace("@", "."):
                return web.Response(body=openapi.as_protobuf(document), headers={"Content-Type": _PROTO_V2})
            return _json(document)
        if parts == ["v3"]:
            return _json(openapi.index_v3(self._registry))
        group = "" if parts[1:2] == ["api"] else ".".join(parts[2:3])
        found = openapi.document_v3(self._registry, group, parts[-1])
        if found is None:
            return web.Response(status=404, text="404 page not found\n")
        if request.query.get("hash"):
            now = openapi.address_v3(self._registry, group, parts[-1])
            if request.query["hash"] != now.rpartition("=")[2]:
                return web.Response(status=301, headers={"Location": now})
        return _json(found)


def _request(message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> web.BaseRequest:
    loop = asyncio.get_running_loop()
    return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=MOST_BODY)


def _verb(method: str, target: Target, query: Query) -> str:
    watching = query.get("watch", "").lower() in ("true", "1")
    if method in ("GET", "HEAD"):
        if target.name:
            return "get"
        return "watch" if watching else "list"
    if method == "DELETE":
        return "delete" if target.name else "deletecollection"
    verbs = {"POST": "create", "PUT": "update", "PATCH": "patch"}
    if method not in verbs:
        raise status.method_not_allowed()
    return verbs[method]


def _json(body: Any, code: int = 200, warnings: list[str] | None = None) -> web.Response:
    response = web.Response(body=encoded(body), status=code, content_type=_JSON)
    for warning in dict.fromkeys(warnings or ()):
        quoted = warning.replace("\\", "\\\\").replace('"', '\\"')
        response.headers.add("Warning", f'299 - "{quoted}"')
    return response


def _failure(error: status.ApiError) -> web.Response:
    response = _json(error.status(), error.code)
    if error.retry_after is not None:
        response.headers["Retry-After"] = str(error.retry_after)
    return response


class _Call:
    """One request for one resource."""

    def __init__(
        self,
        server: Server,
        request: web.BaseRequest,
        query: dict[str, str],
        caller: Caller,
        target: Target,
        resource: Resource,
        accept: _Accept,
    ) -> None:
        self._server = server
        self._operations = server._operations
        self._request = request
        self._query = query
        self._caller = caller
        self._target = target
        self._resource = resource
        self._accept = accept
        self._namespace = target.namespace or ""
        self._doubled: list[str] = []

    async def run(self, verb: str) -> web.StreamResponse:
        """Does what the verb says."""
        target, resource = self._target, self._resource
        if not target.subresource and verb not in resource.verbs:
            raise status.method_not_allowed()
        if (target.name and resource.namespaced and target.namespace is None) or (
            target.name and verb == "create" and (not target.subresource)
        ):
            raise status.method_not_allowed()
        steps: dict[str, Callable[[], Awaitable[web.StreamResponse]]] = {
            "get": self._get,
            "list": self._list,
            "watch": self._watch,
            "create": self._create,
            "update": self._update,
            "patch": self._patch,
            "delete": self._delete,
            "deletecollection": self._delete_collection,
        }
        return await steps[verb]()

    # -- reading

    async def _get(self) -> web.StreamResponse:
        target, resource = self._target, self._resource
        stored = self._operations.stored(resource, self._namespace, target.name)
        if target.subresource == "log":
            body = await self._server._read_log(self._namespace, target.name, self._query)
            return web.Response(body=body, content_type="text/plain")
        if target.subresource == "scale":
            scale = scale_of(resource, self._operations.shown(resource, stored))
            return self._shown(scale, 200, None, SCALE)
        if target.subresource in ("eviction", "binding", "finalize", "token"):
            raise status.method_not_allowed()
        return self._shown(self._operations.shown(resource, stored))

    def _shown(
        self,
        obj: Json,
        code: int = 200,
        warnings: list[str] | None = None,
        resource: Resource | None = None,
    ) -> web.Response:
        resource = resource or self._resource
        if self._accept.table and obj.get("kind") == resource.kind:
            version = obj["metadata"].get("resourceVersion", "")
            obj = tables.table(resource, [obj], self._now(), version, self._include())
        elif self._accept.metadata_only and obj.get("kind") == resource.kind:
            obj = _metadata_of(obj)
        elif self._accept.protobuf:
            if not wire.known(obj["apiVersion"], obj["kind"]):
                raise status.not_acceptable((_JSON, "application/yaml"))
            return web.Response(body=wire.encode(obj), status=code, content_type=wire.MEDIA_TYPE)
        return _json(obj, code, warnings)

    def _now(self) -> float:
        return self._operations.clock.now()

    def _include(self) -> str:
        return self._query.get("includeObject", "") or "Metadata"

    def _refuse_protobuf(self) -> None:
        """Lists and watches come in JSON alone."""
        if self._accept.protobuf:
            raise status.not_acceptable((_JSON,))

    async def _list(self) -> web.StreamResponse:
        self._refuse_protobuf()
        resource = self._resource
        found = page(self._operations.store, resource, self._target.namespace, self._query)
        if self._accept.table:
            objects = [self._operations.shown(resource, stored) for stored in found.items]
            metadata = found.metadata()
            version = metadata.pop("resourceVersion")
            return _json(tables.table(resource, objects, self._now(), version, self._include(), **metadata))
        if self._accept.metadata_only:
            items = [_metadata_of(stored.data) for stored in found.items]
            kind = {"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1"}
            return _json(kind | {"metadata": found.metadata(), "items": items or None})
        return web.Response(body=self._encoded_list(found), content_type=_JSON)

    def _encoded_list(self, found: Page) -> bytes:
        resource = self._resource
        # Of custom resources alone a list that does not go on says so.
        always = {} if resource.custom is None else {"continue": ""}
        head = {
            "kind": resource.list_kind,
            "apiVersion": resource.group_version,
            "metadata": always | found.metadata(),
        }
        items = (
            stored.raw
            if stored.data.get("apiVersion") == resource.group_version
            else encoded(self._operations.shown(resource, stored))
            for stored in found.items
        )
        return encoded(head)[:-1] + b',"items":[' + b",".join(items) + b"]}"

    async def _watch(self) -> web.StreamResponse:
        self._refuse_protobuf()
        server = self._server
        watch = Watch(
            self._operations.store,
            self._resource,
            self._target.namespace,
            self._query,
            server._bookmark_every,
        )
        response = web.StreamResponse(headers={"Content-Type": _JSON, "Cache-Control": "no-cache, private"})
        response.enable_chunked_encoding()
        await response.prepare(self._request)
        server._watches.add(watch)
        notices = watch.notices()
        faults, name, first = server._faults, self._caller.name, True
        try:
            if faults.happens("gone", name):
                await response.write(
                    _line("ERROR", status.expired("too old resource version: 1 (2)").status())
                )
                return response
            async for notice in notices:
                if notice[0] != "ERROR" and faults.happens("silent_drop", name):
                    continue
                if notice[0] != "ERROR" and faults.happens("drop_event", name):
                    break
                line = self._notice(notice, first)
                first = False
                await response.write(line * 2 if faults.happens("duplicate_event", name) else line)
                if faults.happens("break_watch", name):
                    break
        except (ConnectionResetError, asyncio.CancelledError):
            pass
        finally:
            await notices.aclose()  # type: ignore[attr-defined]  # it is a generator
            server._watches.discard(watch)
        return response

    def _notice(self, notice: Notice, first: bool) -> bytes:
        kind, obj = notice
        resource = self._resource
        if kind not in ("ERROR", "BOOKMARK"):
            obj = converted(resource, obj)
        if kind == "ERROR":
            return _line(kind, obj)
        if self._accept.table:
            version = obj["metadata"]["resourceVersion"]
            rows = [] if kind == "BOOKMARK" else [obj]
            obj = tables.table(resource, rows, self._now(), version, self._include(), head=first)
            if kind == "BOOKMARK":
                obj["metadata"] = notice[1]["metadata"]
        elif self._accept.metadata_only:
            obj = _metadata_of(obj)
        return _line(kind, obj)

    # -- writing

    async def _body(self, *, patch: bool = False, options: bool = False) -> Any:
        data = await self._request.read()
        kind = self._request.content_type if "Content-Type" in self._request.headers else _JSON
        reads = _READS if options or self._has_protobuf() else _READS[:2]
        if not patch and kind not in reads:
            raise status.unsupported_media_type(reads)
        if not data:
            return None
        return bodies.read(kind, data, self._doubled)

    def _has_protobuf(self) -> bool:
        return self._resource.custom is None and self._resource.group != "apiextensions.k8s.io"

    def _write(self, kind: str) -> Write:
        agent = self._request.headers.get("User-Agent", "")
        return Write.of(self._query, self._caller, agent, kind, self._doubled)

    async def _create(self) -> web.StreamResponse:
        target, resource = self._target, self._resource
        body = whole(await self._body())
        if resource.group in ("authorization.k8s.io", "authentication.k8s.io"):
            body, _ = decode(resource.schema, body, resource.kind, resource.version)
            return _json(self._review(body), 201)
        write = self._write("CreateOptions")
        if typed := _TYPED.get(target.subresource):
            body, _ = decode(schema(typed), body, typed.rpartition("V1")[2], "v1")
        if target.subresource == "eviction":
            answer = await self._server._deletions.evict(
                resource, self._namespace, target.name, body, self._caller
            )
            return _json(answer, 201)
        if target.subresource == "token":
            return _json(self._token(body), 201)
        if target.subresource == "binding":
            await self._bind(body, write)
            return _json(
                {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}, 201
            )
        if target.subresource or (resource.namespaced and target.namespace is None):
            raise status.method_not_allowed()
        made = await self._operations.create(resource, self._namespace, body, write)
        return self._shown(made, 201, write.warnings)

    def _token(self, body: Json) -> Json:
        """A token of a service account, which does not expire."""
        self._operations.stored(self._resource, self._namespace, self._target.name)
        spec = body.get("spec") or {}
        lasts = spec.get("expirationSeconds") or 3600
        if lasts < 600:
            error = status.invalid_value(
                "spec.expirationSeconds", lasts, "may not specify a duration less than 10 minutes"
            )
            raise status.invalid("authentication.k8s.io", "TokenRequest", self._target.name, [error])
        token = self._server._give_token(self._namespace, self._target.name)
        made = {"token": token, "expirationTimestamp": timestamp(self._now() + lasts)}
        head = {"kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1"}
        return head | body | {"spec": spec | {"expirationSeconds": lasts}, "status": made}

    def _review(self, body: Json) -> Json:
        authorizer, kind = self._server._authorizer, self._resource.kind
        if kind == "SelfSubjectReview":
            user = {"username": self._caller.name, "groups": list(self._caller.groups)}
            return body | {"status": {"userInfo": user}}
        if kind == "SelfSubjectRulesReview":
            return authorizer.rules_review(self._caller, body)
        if kind == "SelfSubjectAccessReview":
            spec = {
                key: value for key, value in (body.get("spec") or {}).items() if key not in ("user", "groups")
            }
            return authorizer.review(self._caller, body | {"spec": spec})
        return authorizer.review(self._caller, body)

    async def _bind(self, body: Json, write: Write) -> None:
        node = at(body, "target", "name", default="")
        await bind(self._operations, self._resource, self._namespace, self._target.name, node, write)

    async def _update(self) -> web.StreamResponse:
        target, resource = self._target, self._resource
        body = whole(await self._body())
        if target.subresource in ("log", "eviction", "binding", "token"):
            raise status.method_not_allowed()
        write = self._write("UpdateOptions")
        if target.subresource == "finalize":
            wanted = at(body, "spec", "finalizers", default=[])

            def finalized(old: Json) -> Json:
                return old | {"spec": {**(old.get("spec") or {}), "finalizers": wanted}}

            made = await self._operations.change(resource, "", target.name, finalized, write)
            return _json(made)
        made = await self._operations.update(
            resource, self._namespace, target.name, body, write, target.subresource
        )
        return self._shown(made, 200, write.warnings)

    async def _patch(self) -> web.StreamResponse:
        target, resource = self._target, self._resource
        kind = self._request.content_type
        accepted = self._operations.patch_types(resource)
        if kind not in (*accepted, *APPLIES):
            raise status.unsupported_media_type(accepted)
        if kind in APPLIES and not self._query.get("fieldManager"):
            error = status.required("fieldManager", "is required for apply patch")
            raise status.invalid("meta.k8s.io", "PatchOptions", "", [error])
        if kind not in APPLIES and "force" in self._query:
            error = status.forbidden_field("force", "may not be specified for non-apply patch")
            raise status.invalid("meta.k8s.io", "PatchOptions", "", [error])
        if target.subresource in ("log", "eviction", "binding", "finalize", "token"):
            raise status.method_not_allowed()
        body = await self._body(patch=True)
        write = self._write("PatchOptions")
        existed = self._operations.store.get(resource.bucket, (self._namespace, target.name)) is not None
        made = await self._operations.patch(
            resource, self._namespace, target.name, kind, body, write, target.subresource
        )
        return self._shown(made, 200 if existed else 201, write.warnings)

    async def _deletion(self) -> Deletion:
        body = await self._body(options=True)
        if isinstance(body, dict):
            body, _ = decode(schema("V1DeleteOptions"), body, "DeleteOptions", "v1")
        return Deletion.of(body, self._query)

    async def _delete(self) -> web.StreamResponse:
        if self._target.subresource:
            raise status.method_not_allowed()
        deletion = await self._deletion()
        answer, _ = await self._server._deletions.delete(
            self._resource, self._namespace, self._target.name, deletion, self._caller
        )
        return _json(answer, 200)

    async def _delete_collection(self) -> web.StreamResponse:
        resource = self._resource
        deletion = await self._deletion()
        found = page(self._operations.store, resource, self._target.namespace, self._query)
        for stored in found.items:
            metadata = stored.data["metadata"]
            try:
                await self._server._deletions.delete(
                    resource, metadata.get("namespace", ""), metadata["name"], deletion, self._caller
                )
            except status.ApiError as error:
                if error.reason != "NotFound":
                    raise
        return web.Response(body=self._encoded_list(found), content_type=_JSON)


async def bind(
    operations: Operations, pods: Resource, namespace: str, name: str, node: str, write: Write
) -> None:
    """Gives a pod its node; 409 where it has one."""
    if not node:
        raise status.invalid("", "Binding", name, [status.required("target.name")])

    def bound(old: Json) -> Json:
        if at(old, "spec", "nodeName"):
            raise status.conflict(
                "", "pods/binding", name, f'pod {name} is already assigned to node "{node}"'
            )
        return old | {"spec": old["spec"] | {"nodeName": node}}

    await operations.change(pods, namespace, name, bound, write)


def _line(kind: str, obj: Json) -> bytes:
    return encoded({"type": kind, "object": obj}) + b"\n"


def _metadata_of(obj: Json) -> Json:
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": obj["metadata"]}
