"""Create, update, patch and apply: what a write goes through before it is stored."""

import base64
from collections.abc import Callable
from typing import Any

from ostiary_operator.sandbox.api import metadata as meta
from ostiary_operator.sandbox.api import patches, scales, status, structural, validation
from ostiary_operator.sandbox.api.admission import Admission, Attempt
from ostiary_operator.sandbox.api.conversion import converted
from ostiary_operator.sandbox.api.decoding import cannot_be_handled, decode, whole
from ostiary_operator.sandbox.api.defaults import set_defaults
from ostiary_operator.sandbox.api.fields import Path
from ostiary_operator.sandbox.api.managers import APPLY, UPDATE, Manager, applied, tracked
from ostiary_operator.sandbox.api.models import schema
from ostiary_operator.sandbox.api.quota import Quotas
from ostiary_operator.sandbox.api.request import Write
from ostiary_operator.sandbox.api.resources import Registry, Resource
from ostiary_operator.sandbox.api.store import RacedError, Store, Stored
from ostiary_operator.sandbox.api.values import copied, same
from ostiary_operator.sandbox.clock import Clock

Json = dict[str, Any]
Change = Callable[[Json], Json]

MOST_BYTES = 1_572_864
"""What etcd takes in one request."""
_ATTEMPTS = 5
_MOST_STEPS = 10_000
_PATCHES = ("application/json-patch+json", "application/merge-patch+json")
STRATEGIC = "application/strategic-merge-patch+json"
APPLIES = ("application/apply-patch+yaml", "application/apply-patch+json")
_NO_GENERATION = frozenset(
    (
        "configmaps", "secrets", "events", "serviceaccounts", "namespaces", "nodes", "leases", "services",
        "resourcequotas", "roles", "rolebindings", "clusterroles", "clusterrolebindings",
    )
)  # fmt: skip
_CONDITIONAL = frozenset(("leases", "customresourcedefinitions", "poddisruptionbudgets"))
"""Kubernetes' own resources whose updates must name the version that they are made from."""


class Operations:
    """All writes but deletion, and reads of single objects."""

    def __init__(self, store: Store, registry: Registry, clock: Clock, admission: Admission) -> None:
        self.store = store
        self.registry = registry
        self.clock = clock
        self.admission = admission
        self._quotas = Quotas(store)
        self.remove_if_done: Callable[[Resource, Stored], Stored] = lambda resource, stored: stored
        self._addresses = 0

    # -- reading

    def stored(self, resource: Resource, namespace: str, name: str) -> Stored:
        """The object, or 404."""
        found = self.store.get(resource.bucket, (namespace, name))
        if found is None:
            raise status.not_found(resource.group, resource.plural, name)
        return found

    def shown(self, resource: Resource, stored: Stored) -> Json:
        """An object in the version that was asked for; not to be changed."""
        return converted(resource, stored.data)

    # -- create

    async def create(self, resource: Resource, namespace: str, obj: Json, write: Write) -> Json:
        """Stores a new object."""
        prefix = (obj.get("metadata") or {}).get("generateName", "")
        generated = bool(prefix) and not (obj.get("metadata") or {}).get("name")
        for attempt in range(8 if generated else 1):
            try:
                return await self._create(resource, namespace, copied(obj), write)
            except status.ApiError as error:
                if not (generated and error.reason == "AlreadyExists") or attempt == 7:
                    raise
        raise AssertionError("unreachable")

    async def _create(self, resource: Resource, namespace: str, obj: Json, write: Write) -> Json:
        obj = self.decoded(resource, obj, write)
        metadata = obj["metadata"]
        if metadata.get("resourceVersion"):
            raise status.ApiError(500, "", "resourceVersion should not be set on objects to be created")
        self._place(resource, namespace, metadata)
        if metadata.get("generateName") and not metadata.get("name"):
            metadata["name"] = meta.generated_name(metadata["generateName"])
        self._check_namespace(resource, metadata)
        for name in ("deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "generation"):
            metadata.pop(name, None)
        metadata["uid"] = meta.new_uid()
        metadata["creationTimestamp"] = meta.timestamp(self.clock.now())
        self._begin(resource, obj)
        self._default(resource, obj)
        attempt = Attempt(resource, "CREATE", "", obj, None, write.caller, write.dry_run)
        obj = await self.admission.mutate(attempt)
        if obj is not attempt.obj:
            obj = self.decoded(resource, obj, write)
            self._default(resource, obj)
        self._check(resource, obj, None)
        if resource.plural == "customresourcedefinitions":
            obj["status"] = _not_established(obj["spec"]["versions"])
        self._quotas.admit(resource, obj)
        await self.admission.validate(attempt.changed(obj))
        key = (metadata.get("namespace", ""), obj["metadata"]["name"])
        if self.store.get(resource.bucket, key) is not None:
            raise status.already_exists(resource.group, resource.plural, key[1])
        if "managedFields" not in obj["metadata"] or not obj["metadata"]["managedFields"]:
            who = self._manager(resource, write, UPDATE, "")
            owned = tracked(resource.schema, None, obj, who, lambda path: self._owns(resource, "", path))
            obj["metadata"]["managedFields"] = owned
        return self._keep(resource, key, obj, None, write)

    def _place(self, resource: Resource, namespace: str, metadata: Json) -> None:
        if not resource.namespaced:
            metadata.pop("namespace", None)
        elif metadata.get("namespace") not in (None, "", namespace):
            raise status.bad_request(
                "the namespace of the provided object does not match the namespace sent on the request"
            )
        else:
            metadata["namespace"] = namespace

    def _check_namespace(self, resource: Resource, metadata: Json) -> None:
        if not resource.namespaced:
            return
        namespace = metadata["namespace"]
        found = self.store.get("namespaces.", ("", namespace))
        if found is None:
            raise status.not_found("", "namespaces", namespace)
        if found.data["metadata"].get("deletionTimestamp"):
            why = f"unable to create new content in namespace {namespace} because it is being terminated"
            error = status.forbidden(resource.group, resource.plural, metadata.get("name", ""), why)
            cause = {
                "reason": "NamespaceTerminating",
                "message": f"namespace {namespace} is being terminated",
                "field": "metadata.namespace",
            }
            error.details = (error.details or {}) | {"causes": [cause]}
            raise error

    def _begin(self, resource: Resource, obj: Json) -> None:
        """What the server sets on new objects."""
        metadata = obj["metadata"]
        if resource.custom is not None or resource.plural not in _NO_GENERATION:
            metadata["generation"] = 1
        if "status" in resource.subresources and resource.plural != "nodes":
            obj.pop("status", None)
            if resource.custom is None:
                obj["status"] = {}
        if resource.custom is not None:
            return
        if resource.plural == "pods":
            obj["status"] = {"phase": "Pending", "qosClass": quality(obj.get("spec") or {})}
        elif resource.plural == "namespaces":
            obj["status"] = {"phase": "Active"}
            obj.setdefault("spec", {})["finalizers"] = ["kubernetes"]
        elif resource.plural == "customresourcedefinitions":
            metadata["finalizers"] = sorted(
                {*(metadata.get("finalizers") or ()), "customresourcecleanup.apiextensions.k8s.io"}
            )
        elif resource.plural == "services":
            self._address(obj.setdefault("spec", {}))

    def _address(self, spec: Json) -> None:
        if spec.get("type", "ClusterIP") == "ExternalName":
            return
        if not spec.get("clusterIP"):
            self._addresses += 1
            spec["clusterIP"] = f"10.96.{self._addresses >> 8 & 255}.{self._addresses & 255}"
        spec["clusterIPs"] = [spec["clusterIP"]]
        spec.setdefault("ipFamilies", ["IPv4"])
        spec.setdefault("ipFamilyPolicy", "SingleStack")

    # -- update, patch, apply

    async def update(
        self, resource: Resource, namespace: str, name: str, obj: Json, write: Write, subresource: str = ""
    ) -> Json:
        """Replaces an object, or the part of it that a subresource is."""
        given = (obj.get("metadata") or {}).get("name") if isinstance(obj, dict) else None
        if given and given != name:
            raise status.bad_request(
                f"the name of the object ({given}) does not match the name on the URL ({name})"
            )
        return await self._change(
            resource, namespace, name, lambda _: copied(obj), write, subresource, whole=True
        )

    async def patch(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        kind: str,
        patch: Any,
        write: Write,
        subresource: str = "",
    ) -> Json:
        """Changes an object by a patch of one of the four kinds."""
        if kind in APPLIES:
            return await self.apply(resource, namespace, name, patch, write, subresource)
        change = self._patcher(resource, kind, patch)
        return await self._change(resource, namespace, name, change, write, subresource)

    def _patcher(self, resource: Resource, kind: str, patch: Any) -> Change:
        if kind == "application/json-patch+json":
            if isinstance(patch, list) and len(patch) > _MOST_STEPS:
                limit = f"The allowed maximum operations in a JSON patch is {_MOST_STEPS}, got {len(patch)}"
                raise status.too_large(limit)
            return lambda live: _fitting(lambda: patches.json_patch(live, patch))
        if kind == "application/merge-patch+json":
            if not isinstance(patch, dict):
                raise status.bad_request(
                    "json: cannot unmarshal into Go value of type map[string]interface {}"
                )
            return lambda live: copied(patches.merge_patch(live, patch))
        if kind == STRATEGIC and resource.custom is None:
            shape = resource.schema
            return lambda live: copied(_fitting(lambda: patches.strategic_merge(live, patch, shape)))
        raise status.unsupported_media_type(self.patch_types(resource))

    def patch_types(self, resource: Resource) -> list[str]:
        """The media types of patches that a resource takes."""
        own = [STRATEGIC] if resource.custom is None else []
        return [*_PATCHES, *own, APPLIES[0]]

    async def change(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        change: Change,
        write: Write,
        subresource: str = "",
    ) -> Json:
        """Changes an object by a function of what it is, again where somebody was quicker."""
        return await self._change(resource, namespace, name, change, write, subresource)

    async def _change(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        change: Change,
        write: Write,
        subresource: str,
        *,
        whole: bool = False,
    ) -> Json:
        for attempt in range(_ATTEMPTS):
            live = self.stored(resource, namespace, name)
            try:
                return await self._replace(resource, live, change, write, subresource, whole=whole)
            except RacedError:
                if attempt == _ATTEMPTS - 1:
                    break
        raise status.conflict(resource.group, resource.plural, name)

    async def _replace(
        self,
        resource: Resource,
        live: Stored,
        change: Change,
        write: Write,
        subresource: str,
        *,
        whole: bool,
        through: str = "",
    ) -> Json:
        old = self.shown(resource, live)
        if subresource == "scale":
            return await self._rescale(resource, live, change, write, whole=whole)
        new = change(old)
        if not isinstance(new, dict) or not isinstance(new.get("metadata", {}), dict):
            raise status.bad_request("the patched object is no object any more")
        new = self.decoded(resource, new, write)
        self._check_version(resource, new, old, whole=whole)
        new = self._carried_over(resource, new, old, subresource)
        self._default(resource, new)
        attempt = Attempt(resource, "UPDATE", subresource, new, old, write.caller, write.dry_run)
        mutated = await self.admission.mutate(attempt)
        if mutated is not new:
            new = self._carried_over(resource, self.decoded(resource, mutated, write), old, subresource)
            self._default(resource, new)
        self._check(resource, new, old)
        await self.admission.validate(attempt.changed(new))
        if same(_settled(new), _settled(old)):
            return old
        who = self._manager(resource, write, UPDATE, through or subresource)
        owned = tracked(resource.schema, old, new, who, lambda path: self._owns(resource, subresource, path))
        new["metadata"]["managedFields"] = owned
        self._count_generation(resource, new, old)
        return self._keep(
            resource, (new["metadata"].get("namespace", ""), new["metadata"]["name"]), new, live, write
        )

    async def _rescale(
        self, resource: Resource, live: Stored, change: Change, write: Write, *, whole: bool
    ) -> Json:
        old = self.shown(resource, live)
        scale, _ = decode(schema("V1Scale"), change(scales.scale_of(resource, old)), "Scale", "v1")
        version = (scale.get("metadata") or {}).get("resourceVersion")
        if version and version != old["metadata"]["resourceVersion"]:
            raise status.conflict(resource.group, resource.plural, old["metadata"]["name"])
        wanted = scales.wanted_replicas(scale)
        change = lambda _: scales.with_replicas(resource, old, wanted)  # noqa: E731  # of this call's `wanted`
        made = await self._replace(resource, live, change, write, "", whole=False, through="scale")
        return scales.scale_of(resource, made)

    def _check_version(self, resource: Resource, new: Json, old: Json, *, whole: bool) -> None:
        given, name = new["metadata"], old["metadata"]["name"]
        version = given.get("resourceVersion", "")
        if given.get("uid") not in (None, "", old["metadata"]["uid"]):
            uid = old["metadata"]["uid"]
            why = f"Precondition failed: UID in precondition: {given['uid']}, UID in object meta: {uid}"
            raise status.conflict(resource.group, resource.plural, name, why)
        if not version or version == "0":
            if whole and (resource.custom is not None or resource.plural in _CONDITIONAL):
                error = status.FieldError(
                    "FieldValueInvalid",
                    "metadata.resourceVersion",
                    "Invalid value: 0: must be specified for an update",
                )
                raise status.invalid(resource.group, resource.kind, name, [error])
        elif version != old["metadata"]["resourceVersion"]:
            raise status.conflict(resource.group, resource.plural, name)

    def _carried_over(self, resource: Resource, new: Json, old: Json, subresource: str) -> Json:
        """The new object with what this kind of write cannot change as it was."""
        before = old["metadata"]
        if subresource == "status":
            kept = {key: value for key, value in old.items() if key != "status"}
            made = kept | ({"status": new["status"]} if "status" in new else {})
            made["metadata"] = dict(before)
            return made
        if "status" in resource.subresources:
            new.pop("status", None)
            if "status" in old:
                new["status"] = old["status"]
        metadata = new["metadata"]
        for name in (
            "uid",
            "creationTimestamp",
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
            "generation",
        ):
            metadata.pop(name, None)
            if name in before:
                metadata[name] = before[name]
        metadata["resourceVersion"] = before["resourceVersion"]
        metadata.setdefault("name", before["name"])
        if resource.namespaced:
            metadata.setdefault("namespace", before["namespace"])
        if metadata.get("managedFields") == [{}] or metadata.get("managedFields") == []:
            metadata["managedFields"] = []
        else:
            metadata["managedFields"] = before.get("managedFields") or []
        if resource.bucket == "services." and isinstance(new.get("spec"), dict):
            for name in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"):
                if name in old["spec"]:
                    new["spec"].setdefault(name, old["spec"][name])
        return new

    def _count_generation(self, resource: Resource, new: Json, old: Json) -> None:
        if "generation" not in old["metadata"]:
            return
        ignored = {"metadata", "apiVersion", "kind"}
        if "status" in resource.subresources:
            ignored.add("status")
        now = {key: value for key, value in new.items() if key not in ignored}
        before = {key: value for key, value in old.items() if key not in ignored}
        if not same(now, before):
            new["metadata"]["generation"] = old["metadata"]["generation"] + 1

    async def apply(
        self, resource: Resource, namespace: str, name: str, config: Any, write: Write, subresource: str = ""
    ) -> Json:
        """Server-side apply: creates the object, or sets its fields and who owns them."""
        config = copied(whole(config))
        config["metadata"] = config.get("metadata") or {}
        if config["metadata"].get("managedFields"):
            raise status.bad_request("metadata.managedFields must be nil")
        given = config["metadata"].get("name", name)
        if given != name:
            raise status.bad_request(
                f"the name of the object ({given}) does not match the name on the URL ({name})"
            )
        for _ in range(_ATTEMPTS):
            live = self.store.get(resource.bucket, (namespace if resource.namespaced else "", name))
            try:
                if live is None:
                    return await self._apply_new(resource, namespace, name, config, write, subresource)
                return await self._apply_over(resource, live, config, write, subresource)
            except RacedError:
                continue
        raise status.conflict(resource.group, resource.plural, name)

    def _configuration(self, resource: Resource, config: Json, write: Write) -> Json:
        given = (config.get("apiVersion") or "", config.get("kind") or "")
        if given != (resource.group_version, resource.kind):
            version = given[0] if "/" in given[0] else f"/{given[0]}"
            raise status.bad_request(f"invalid object type: {version}, Kind={given[1]}")
        told = Write(validation="Warn")
        decoded = self.decoded(resource, copied(config), told)
        wrong = [
            f".{warning.partition(chr(34))[2].rstrip(chr(34))}: field not declared in schema"
            for warning in told.warnings
        ]
        if resource.custom is not None:
            wrong += structural.misshapen(resource.schema, {**decoded, "metadata": None})
        if wrong:
            metadata = decoded["metadata"]
            who = f"{metadata.get('namespace', '')}/{metadata.get('name', '')}"
            kind = f"{resource.group_version}, Kind={resource.kind}"
            message = f"failed to create typed patch object ({who}; {kind}): {', '.join(wrong)}"
            raise status.ApiError(500, "", message)
        return {key: value for key, value in decoded.items() if key != "status" or value}

    async def _apply_new(
        self, resource: Resource, namespace: str, name: str, config: Json, write: Write, subresource: str
    ) -> Json:
        if subresource:
            raise status.not_found(resource.group, resource.plural, name)
        if config["metadata"].get("uid"):
            why = (
                f"Precondition failed: UID in precondition: {config['metadata']['uid']}, UID in object meta: "
            )
            raise status.conflict(resource.group, resource.plural, name, why)
        config = self._configuration(resource, config, write)
        who = self._manager(resource, write, APPLY, "")
        empty: Json = {
            "apiVersion": resource.group_version,
            "kind": resource.kind,
            "metadata": {"name": name},
        }
        owns = lambda path: self._owns(resource, "", path)  # noqa: E731  # bound to this call's arguments
        made = applied(resource.schema, empty, config, who, owns, force=True)
        try:
            return await self._create(resource, namespace, made, write)
        except status.ApiError as error:
            if error.reason == "AlreadyExists":
                raise RacedError from error
            raise

    async def _apply_over(
        self, resource: Resource, live: Stored, config: Json, write: Write, subresource: str
    ) -> Json:
        old = self.shown(resource, live)
        config = self._configuration(resource, config, write)
        config["metadata"].setdefault("name", old["metadata"]["name"])
        self._check_version(resource, config, old, whole=False)
        given = {
            key: value for key, value in config["metadata"].items() if key not in ("uid", "resourceVersion")
        }
        config["metadata"] = given
        if subresource == "status":
            config = {key: value for key, value in config.items() if key != "spec"}
        elif "status" in resource.subresources:
            config.pop("status", None)
        who = self._manager(resource, write, APPLY, subresource)

        def owns(path: Path) -> bool:
            return self._owns(resource, subresource, path)

        made = copied(applied(resource.schema, old, config, who, owns, force=write.force))
        owned = made["metadata"]["managedFields"]
        new = self._carried_over(resource, made, old, subresource)
        self._default(resource, new)
        attempt = Attempt(resource, "UPDATE", subresource, new, old, write.caller, write.dry_run)
        new = await self.admission.mutate(attempt)
        self._check(resource, new, old)
        await self.admission.validate(attempt.changed(new))
        new["metadata"]["managedFields"] = owned
        if same(_settled(new), _settled(old)) and same(owned, old["metadata"].get("managedFields")):
            return old
        self._count_generation(resource, new, old)
        return self._keep(
            resource, (new["metadata"].get("namespace", ""), new["metadata"]["name"]), new, live, write
        )

    # -- what all writes share

    def decoded(self, resource: Resource, obj: Json, write: Write) -> Json:
        """What was sent as an object of this resource: unknown fields dropped, or refused."""
        if not isinstance(obj, dict):
            raise cannot_be_handled(resource.kind, resource.version, "json: cannot unmarshal into Go value")
        if resource.custom is not None and not (obj.get("apiVersion") and obj.get("kind")):
            raise status.bad_request("Object 'Kind' is missing in the body" if not obj.get("kind") else
                                     "Object 'apiVersion' is missing in the body")  # fmt: skip
        if obj.get("apiVersion") not in (None, "", resource.group_version):
            raise status.bad_request(
                f"the API version in the data ({obj['apiVersion']}) does not match the expected API version "
                f"({resource.group_version})"
            )
        if obj.get("kind") not in (None, "", resource.kind):
            raise status.bad_request(
                f'{obj["kind"]} in version "{resource.version}" cannot be handled as a {resource.kind}: '
                "the kind in the data does not match the expected kind"
            )
        given = obj.get("metadata") or {}
        if resource.custom is None:
            made, unknown = decode(resource.schema, obj, resource.kind, resource.version)
        else:
            metadata, in_metadata = decode(schema("V1ObjectMeta"), given, resource.kind, resource.version)
            made = copied(obj) | {"metadata": {}}
            unknown = structural.prune(resource.schema, made) + [f"metadata.{path}" for path in in_metadata]
            made["metadata"] = metadata
        named: Json = {"apiVersion": resource.group_version, "kind": resource.kind, "metadata": {}}
        made = named | made
        told = [f'duplicate field "{path}"' for path in write.doubled]
        told += [f'unknown field "{path}"' for path in unknown]
        if told and write.validation == "Strict":
            words = f"strict decoding error: {', '.join(told)}"
            raise cannot_be_handled(resource.kind, resource.version, words)
        if write.validation == "Warn":
            write.warnings.extend(told)
        if resource.bucket == "secrets." and made.get("stringData"):
            plain = {
                key: base64.b64encode(text.encode()).decode() for key, text in made.pop("stringData").items()
            }
            made["data"] = (made.get("data") or {}) | plain
        return made

    def _default(self, resource: Resource, obj: Json) -> None:
        if resource.custom is None:
            set_defaults(resource.kind, obj)
        else:
            structural.fill_defaults(resource.schema, obj)

    def _check(self, resource: Resource, new: Json, old: Json | None) -> None:
        errors = meta.check_metadata(new["metadata"], resource.plural)
        if old is not None:
            errors += meta.check_metadata_update(new["metadata"], old["metadata"])
        if resource.custom is None:
            errors += validation.check(resource, new, old)
        else:
            errors += structural.validate(resource.schema, new, old)
        if errors:
            raise status.invalid(resource.group, resource.kind, new["metadata"].get("name", ""), errors)

    def _owns(self, resource: Resource, subresource: str, path: Path) -> bool:
        if subresource == "status":
            return path[0] == "f:status"
        return path[0] != "f:status" or "status" not in resource.subresources

    def _manager(self, resource: Resource, write: Write, operation: str, subresource: str) -> Manager:
        when = meta.timestamp(self.clock.now())
        return Manager(write.manager, operation, resource.group_version, subresource, when, frozenset())

    def _keep(
        self, resource: Resource, key: tuple[str, str], obj: Json, before: Stored | None, write: Write
    ) -> Json:
        if write.dry_run:
            return obj
        obj = converted(self.registry.storage_of(resource), obj)
        stored = Stored(obj, 0)
        if len(stored.raw) > MOST_BYTES:
            raise status.ApiError(500, "", "etcdserver: request is too large")
        kept = self.remove_if_done(resource, self.store.put(resource.bucket, key, obj, before))
        return self.shown(resource, kept)


def _settled(obj: Json) -> Json:
    ignored = ("managedFields", "resourceVersion")
    metadata = {key: value for key, value in obj["metadata"].items() if key not in ignored}
    return obj | {"metadata": metadata}


def _fitting(change: Callable[[], Any]) -> Any:
    try:
        return change()
    except patches.PatchError as error:
        raise status.bad_request(str(error)) from error
    except patches.UnfitPatchError as error:
        message = f"the server rejected our request due to an error in our request: {error}"
        raise status.ApiError(422, "Invalid", message, {}) from error


def _not_established(versions: list[Json]) -> Json:
    """What a definition says of itself before somebody has looked at its names."""
    stored = [one["name"] for one in versions if one["storage"]]
    return {"conditions": None, "acceptedNames": {"plural": "", "kind": ""}, "storedVersions": stored}


def quality(spec: Json) -> str:
    """The class of service that a pod's resources give it."""
    containers = spec.get("containers") or []
    resources = [one.get("resources") or {} for one in containers]
    if not any(one.get("limits") or one.get("requests") for one in resources):
        return "BestEffort"
    full = all({"cpu", "memory"} <= (one.get("limits") or {}).keys() for one in resources)
    equal = all(not one.get("requests") or one.get("requests") == one.get("limits") for one in resources)
    return "Guaranteed" if full and equal else "Burstable"
