"""OpenAPI documents of all resources: version 3 by group, and version 2, also in its protobuf form."""

import hashlib
from collections.abc import Iterable
from typing import Any

from ostiary_operator.sandbox.api.models import definition_name
from ostiary_operator.sandbox.api.resources import Registry, Resource
from ostiary_operator.sandbox.api.values import encoded

Json = dict[str, Any]

_INFO = {"title": "Kubernetes", "version": "v1.34.0"}
_PATCHES = (
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
)
_WORDS = (
    "type", "format", "description", "required", "enum", "default", "minimum", "maximum", "minLength",
    "maxLength", "pattern", "minItems", "maxItems", "nullable",
)  # fmt: skip


class _Definitions:
    """Schemas with references for what they have in common."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self.all: dict[str, Json] = {}

    def add(self, resource: Resource) -> str:
        """Adds the schema of a resource; its name."""
        name = kind_name(resource)
        if name not in self.all:
            self.all[name] = {}
            made = self._expanded(resource.schema)
            properties = made.get("properties") or {}
            metadata = resource.schema["properties"]["metadata"]
            properties["metadata"] = self._referenced(metadata)
            gvk = {"group": resource.group, "version": resource.version, "kind": resource.kind}
            self.all[name] = made | {"x-kubernetes-group-version-kind": [gvk]}
        return name

    def _referenced(self, schema: Json) -> Json:
        model = schema.get("x-model")
        if model is None:
            return self._expanded(schema)
        name = definition_name(model)
        if name not in self.all:
            self.all[name] = {}
            self.all[name] = self._expanded(schema)
        reference: Json = {"$ref": f"{self._prefix}{name}"}
        words = ("description", *(key for key in schema if key.startswith("x-kubernetes-patch")))
        kept = {word: schema[word] for word in words if word in schema}
        if not kept:
            return reference
        return {"allOf": [reference], **kept} if self._prefix.startswith("#/components") else kept | reference

    def _expanded(self, schema: Json) -> Json:
        made = {word: schema[word] for word in _WORDS if word in schema}
        made |= {key: value for key, value in schema.items() if key.startswith("x-kubernetes")}
        if schema.get("x-kubernetes-int-or-string"):
            made = {"type": "string", "format": "int-or-string"} | {
                word: value for word, value in made.items() if word == "description"
            }
        if schema.get("x-kubernetes-preserve-unknown-fields") and not schema.get("properties"):
            made = {"type": "object"} | {word: value for word, value in made.items() if word != "type"}
        if properties := schema.get("properties"):
            made["properties"] = {key: self._referenced(inner) for key, inner in properties.items()}
        if isinstance(items := schema.get("items"), dict):
            made["items"] = self._referenced(items)
        if isinstance(others := schema.get("additionalProperties"), dict):
            made["additionalProperties"] = self._referenced(others)
        return made


def kind_name(resource: Resource) -> str:
    """The name of a kind among the definitions: the group's words turned round, version, kind."""
    if resource.custom is None:
        return f"io.k8s.api.{resource.group.partition('.')[0] or 'core'}.{resource.version}.{resource.kind}"
    return ".".join((*reversed(resource.group.split(".")), resource.version, resource.kind))


def paths_of(resource: Resource) -> tuple[str, str]:
    """Where a resource's collection and its objects are."""
    root = f"/apis/{resource.group}/{resource.version}" if resource.group else f"/api/{resource.version}"
    collection = (
        f"{root}/namespaces/{{namespace}}/{resource.plural}"
        if resource.namespaced
        else f"{root}/{resource.plural}"
    )
    return collection, f"{collection}/{{name}}"


_PARAMETERS = ("dryRun", "fieldManager", "fieldValidation")


def _operations(resource: Resource, *, single: bool) -> dict[str, str]:
    verbs = {"get": "get", "put": "update", "patch": "patch", "delete": "delete"} if single else {
        "get": "list", "post": "create", "delete": "deletecollection"}  # fmt: skip
    return {method: verb for method, verb in verbs.items() if verb in resource.verbs}


def document_v3(registry: Registry, group: str, version: str) -> Json | None:
    """The document of one group's version."""
    found = [one for one in registry if (one.group, one.version) == (group, version)]
    if not found:
        return None
    definitions = _Definitions("#/components/schemas/")
    paths: Json = {}
    for resource in found:
        name = definitions.add(resource)
        for path, single in zip(paths_of(resource), (False, True), strict=True):
            paths[path] = {
                method: _operation_v3(resource, name, method, verb)
                for method, verb in _operations(resource, single=single).items()
            }
    return {"openapi": "3.0.0", "info": _INFO, "paths": paths, "components": {"schemas": definitions.all}}


def _operation_v3(resource: Resource, name: str, method: str, verb: str) -> Json:
    reference = {"$ref": f"#/components/schemas/{name}"}
    made: Json = {
        "operationId": f"{verb}{resource.group_version}{resource.kind}",
        "responses": {"200": {"description": "OK", "content": {"application/json": {"schema": reference}}}},
        "x-kubernetes-action": verb,
        "x-kubernetes-group-version-kind": _gvk(resource),
    }
    if method in ("post", "put", "patch"):
        made["parameters"] = [
            {"name": one, "in": "query", "schema": {"type": "string", "uniqueItems": True}}
            for one in _PARAMETERS
        ]
        media = _PATCHES if method == "patch" else ("application/json",)
        content = {one: {"schema": {"type": "object"} if method == "patch" else reference} for one in media}
        made["requestBody"] = {"content": content, "required": True}
    return made


def _gvk(resource: Resource) -> Json:
    return {"group": resource.group, "version": resource.version, "kind": resource.kind}


def index_v3(registry: Registry) -> Json:
    """The answer to /openapi/v3: where each group's document is."""
    paths = {}
    for group, versions in registry.groups().items():
        for version in versions:
            found = {"serverRelativeURL": address_v3(registry, group, version)}
            paths[_path_v3(group, version)] = found
    return {"paths": paths}


def address_v3(registry: Registry, group: str, version: str) -> str:
    """Where a group's document is, with a hash of what it says, so that nobody takes an older one for it."""
    seed = [[one.kind, one.custom] for one in registry if (one.group, one.version) == (group, version)]
    digest = hashlib.sha256(encoded(seed)).hexdigest()[:32].upper()
    return f"/openapi/v3/{_path_v3(group, version)}?hash={digest}"


def _path_v3(group: str, version: str) -> str:
    return f"apis/{group}/{version}" if group else f"api/{version}"


def document_v2(registry: Registry) -> Json:
    """The document of everything."""
    definitions = _Definitions("#/definitions/")
    paths: Json = {}
    for resource in registry:
        name = definitions.add(resource)
        for path, single in zip(paths_of(resource), (False, True), strict=True):
            paths[path] = {
                method: _operation_v2(resource, name, method, verb)
                for method, verb in _operations(resource, single=single).items()
            }
    return {"swagger": "2.0", "info": _INFO, "paths": paths, "definitions": definitions.all}


def _operation_v2(resource: Resource, name: str, method: str, verb: str) -> Json:
    made: Json = {
        "operationId": f"{verb}{resource.group_version}{resource.kind}",
        "produces": ["application/json"],
        "responses": {"200": {"description": "OK", "schema": {"$ref": f"#/definitions/{name}"}}},
        "x-kubernetes-action": verb,
        "x-kubernetes-group-version-kind": _gvk(resource),
    }
    if method in ("post", "put", "patch"):
        made["parameters"] = [{"name": one, "in": "query", "type": "string"} for one in _PARAMETERS]
    if method == "patch":
        made["consumes"] = list(_PATCHES)
    return made


# The protobuf form, which older kubectl asks for: messages of gnostic's openapi.v2, by their field numbers.


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _bytes(number: int, data: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _text(number: int, text: str) -> bytes:
    return _bytes(number, text.encode())


def _joined(parts: Iterable[bytes]) -> bytes:
    return b"".join(parts)


def _any(value: Any) -> bytes:
    return _text(2, encoded(value).decode())


def _named(number: int, name: str, value: bytes) -> bytes:
    return _bytes(number, _text(1, name) + _bytes(2, value))


def _extensions(number: int, schema: Json) -> bytes:
    return _joined(_named(number, key, _any(value)) for key, value in schema.items() if key.startswith("x-"))


def _schema(schema: Json) -> bytes:
    out = []
    if "$ref" in schema:
        out.append(_text(1, schema["$ref"]))
    for number, word in ((2, "format"), (4, "description")):
        if word in schema:
            out.append(_text(number, schema[word]))
    out += [_text(19, name) for name in schema.get("required") or ()]
    if isinstance(others := schema.get("additionalProperties"), dict):
        out.append(_bytes(21, _bytes(1, _schema(others))))
    if "type" in schema:
        out.append(_bytes(22, _text(1, schema["type"])))
    if "items" in schema:
        out.append(_bytes(23, _bytes(1, _schema(schema["items"]))))
    if properties := schema.get("properties"):
        inner = _joined(_named(1, key, _schema(value)) for key, value in properties.items())
        out.append(_bytes(25, inner))
    out.append(_extensions(31, schema))
    return _joined(out)


_METHODS = {"get": 2, "put": 3, "post": 4, "delete": 5, "patch": 8}


def _operation(operation: Json) -> bytes:
    out = [_text(5, operation["operationId"])]
    out += [_text(6, one) for one in operation["produces"]]
    out += [_text(7, one) for one in operation.get("consumes") or ()]
    for parameter in operation.get("parameters") or ():
        query = _text(2, "query") + _text(4, parameter["name"]) + _text(6, "string")
        out.append(_bytes(8, _bytes(1, _bytes(2, _bytes(3, query)))))
    response = _text(1, "OK") + _bytes(2, _bytes(1, _schema(operation["responses"]["200"]["schema"])))
    out.append(_bytes(9, _named(1, "200", _bytes(1, response))))
    out.append(_extensions(13, operation))
    return _joined(out)


def as_protobuf(document: Json) -> bytes:
    """A document of version 2 as a message of gnostic's `openapi.v2.Document`."""
    info = _text(1, document["info"]["title"]) + _text(2, document["info"]["version"])
    paths = []
    for path, operations in document["paths"].items():
        item = _joined(_bytes(_METHODS[method], _operation(one)) for method, one in operations.items())
        paths.append(_named(2, path, item))
    definitions = [_named(1, name, _schema(schema)) for name, schema in document["definitions"].items()]
    return _joined(
        (
            _text(1, document["swagger"]),
            _bytes(2, info),
            _bytes(8, _joined(paths)),
            _bytes(9, _joined(definitions)),
        )
    )
