"""One request for a resource: from its query, headers and body to an operation, and back."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from ostiary_operator.sandbox.api import bodies, status, tables, wire
from ostiary_operator.sandbox.api.accept import JSON, READS, Accept
from ostiary_operator.sandbox.api.answers import as_json
from ostiary_operator.sandbox.api.conversion import converted
from ostiary_operator.sandbox.api.decoding import decode, whole
from ostiary_operator.sandbox.api.deletions import Deletions
from ostiary_operator.sandbox.api.lists import Page, page
from ostiary_operator.sandbox.api.metadata import timestamp
from ostiary_operator.sandbox.api.models import schema
from ostiary_operator.sandbox.api.operations import APPLIES, Operations
from ostiary_operator.sandbox.api.rbac import Authorizer
from ostiary_operator.sandbox.api.request import Caller, Deletion, Write
from ostiary_operator.sandbox.api.resources import SCALE, Resource
from ostiary_operator.sandbox.api.scales import scale_of
from ostiary_operator.sandbox.api.target import Target
from ostiary_operator.sandbox.api.values import at, encoded
from ostiary_operator.sandbox.api.watches import Notice, Watch
from ostiary_operator.sandbox.faults import Faults

Json = dict[str, Any]
ReadLog = Callable[[str, str, Mapping[str, str]], Awaitable[bytes]]
"""What the container of a pod wrote."""
GiveToken = Callable[[str, str], str]
"""A token for the service account of a namespace and a name."""

_TYPED = {"eviction": "V1Eviction", "binding": "V1Binding", "token": "AuthenticationV1TokenRequest"}
"""Models of what subresources take that are no part of their object."""


@dataclass(frozen=True)
class Backend:
    """What requests are answered from. `bookmark_every`: seconds; `watches`: those that are open."""

    operations: Operations
    deletions: Deletions
    authorizer: Authorizer
    faults: Faults
    read_log: ReadLog
    give_token: GiveToken
    bookmark_every: float = 30.0
    watches: set[Watch] = field(default_factory=set)


class Call:
    """One request for one resource."""

    def __init__(
        self,
        backend: Backend,
        request: web.BaseRequest,
        query: dict[str, str],
        caller: Caller,
        target: Target,
        resource: Resource,
        accept: Accept,
    ) -> None:
        self._backend = backend
        self._operations = backend.operations
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
            body = await self._backend.read_log(self._namespace, target.name, self._query)
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
                raise status.not_acceptable((JSON, "application/yaml"))
            return web.Response(body=wire.encode(obj), status=code, content_type=wire.MEDIA_TYPE)
        return as_json(obj, code, warnings)

    def _now(self) -> float:
        return self._operations.clock.now()

    def _include(self) -> str:
        return self._query.get("includeObject", "") or "Metadata"

    def _refuse_protobuf(self) -> None:
        """Lists and watches come in JSON alone."""
        if self._accept.protobuf:
            raise status.not_acceptable((JSON,))

    async def _list(self) -> web.StreamResponse:
        self._refuse_protobuf()
        resource = self._resource
        found = page(self._operations.store, resource, self._target.namespace, self._query)
        if self._accept.table:
            objects = [self._operations.shown(resource, stored) for stored in found.items]
            metadata = found.metadata()
            version = metadata.pop("resourceVersion")
            return as_json(tables.table(resource, objects, self._now(), version, self._include(), **metadata))
        if self._accept.metadata_only:
            items = [_metadata_of(stored.data) for stored in found.items]
            kind = {"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1"}
            return as_json(kind | {"metadata": found.metadata(), "items": items or None})
        return web.Response(body=self._encoded_list(found), content_type=JSON)

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
        backend = self._backend
        watch = Watch(
            self._operations.store,
            self._resource,
            self._target.namespace,
            self._query,
            backend.bookmark_every,
        )
        response = web.StreamResponse(headers={"Content-Type": JSON, "Cache-Control": "no-cache, private"})
        response.enable_chunked_encoding()
        await response.prepare(self._request)
        backend.watches.add(watch)
        notices = watch.notices()
        faults, name, first = backend.faults, self._caller.name, True
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
            backend.watches.discard(watch)
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
        kind = self._request.content_type if "Content-Type" in self._request.headers else JSON
        reads = READS if options or self._has_protobuf() else READS[:2]
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
            return as_json(self._review(body), 201)
        write = self._write("CreateOptions")
        if typed := _TYPED.get(target.subresource):
            body, _ = decode(schema(typed), body, typed.rpartition("V1")[2], "v1")
        if target.subresource == "eviction":
            answer = await self._backend.deletions.evict(
                resource, self._namespace, target.name, body, self._caller
            )
            return as_json(answer, 201)
        if target.subresource == "token":
            return as_json(self._token(body), 201)
        if target.subresource == "binding":
            await self._bind(body, write)
            return as_json(
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
        token = self._backend.give_token(self._namespace, self._target.name)
        made = {"token": token, "expirationTimestamp": timestamp(self._now() + lasts)}
        head = {"kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1"}
        return head | body | {"spec": spec | {"expirationSeconds": lasts}, "status": made}

    def _review(self, body: Json) -> Json:
        authorizer, kind = self._backend.authorizer, self._resource.kind
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
            return as_json(made)
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
        answer, _ = await self._backend.deletions.delete(
            self._resource, self._namespace, self._target.name, deletion, self._caller
        )
        return as_json(answer, 200)

    async def _delete_collection(self) -> web.StreamResponse:
        resource = self._resource
        deletion = await self._deletion()
        found = page(self._operations.store, resource, self._target.namespace, self._query)
        for stored in found.items:
            metadata = stored.data["metadata"]
            try:
                await self._backend.deletions.delete(
                    resource, metadata.get("namespace", ""), metadata["name"], deletion, self._caller
                )
            except status.ApiError as error:
                if error.reason != "NotFound":
                    raise
        return web.Response(body=self._encoded_list(found), content_type=JSON)


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
