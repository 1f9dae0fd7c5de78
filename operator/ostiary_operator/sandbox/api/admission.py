"""Admission webhooks: whoever registered is asked before an object is stored."""

import base64
import fnmatch
import json
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import aiohttp

from ostiary_operator.sandbox.api import patches, selectors
from ostiary_operator.sandbox.api.metadata import new_uid
from ostiary_operator.sandbox.api.request import Caller
from ostiary_operator.sandbox.api.resources import Resource
from ostiary_operator.sandbox.api.status import ApiError, internal
from ostiary_operator.sandbox.api.store import Store

Json = dict[str, Any]
_GROUP = "admissionregistration.k8s.io"


@dataclass(frozen=True)
class Attempt:
    """A write that is about to happen."""

    resource: Resource
    operation: str
    subresource: str
    obj: Json | None
    old: Json | None
    caller: Caller
    dry_run: bool

    def changed(self, obj: Json) -> "Attempt":
        """The same write of another object."""
        return Attempt(
            self.resource, self.operation, self.subresource, obj, self.old, self.caller, self.dry_run
        )

    @property
    def metadata(self) -> Json:
        """Metadata of what is written, or deleted."""
        found: Json = (self.obj or self.old or {}).get("metadata") or {}
        return found


Locate = Callable[[str, str, int], str | None]
"""Address of a Service (namespace, name, port), or None where nothing is behind it."""


class Admission:
    """Asks the webhooks that are registered."""

    def __init__(self, store: Store, locate: Locate = lambda namespace, name, port: None) -> None:
        self._store = store
        self._locate = locate

    async def mutate(self, attempt: Attempt) -> Json:
        """The object after the mutating webhooks; the very same where none changed it."""
        obj = attempt.obj or {}
        for hook, name in self._hooks("mutatingwebhookconfigurations", attempt):
            answer = await self._ask(hook, attempt.changed(obj), name)
            if answer.get("patch"):
                patch = json.loads(base64.b64decode(answer["patch"]))
                try:
                    obj = patches.json_patch(obj, patch)
                except (patches.PatchError, patches.UnfitPatchError) as error:
                    raise internal(f'admission webhook "{name}" sent a bad patch: {error}') from error
        return obj

    async def validate(self, attempt: Attempt) -> None:
        """Raises what a validating webhook says against the write."""
        for hook, name in self._hooks("validatingwebhookconfigurations", attempt):
            await self._ask(hook, attempt, name)

    def _hooks(self, plural: str, attempt: Attempt) -> list[tuple[Json, str]]:
        if attempt.resource.group == _GROUP:
            return []
        return [
            (hook, hook["name"])
            for configuration in self._store.objects(f"{plural}.{_GROUP}")
            for hook in configuration.get("webhooks") or ()
            if self._concerns(hook, attempt)
        ]

    def _concerns(self, hook: Json, attempt: Attempt) -> bool:
        resource = attempt.resource
        plural = f"{resource.plural}/{attempt.subresource}" if attempt.subresource else resource.plural
        if not any(_rule_matches(rule, attempt, plural) for rule in hook.get("rules") or ()):
            return False
        of_objects = selectors.of_object(hook.get("objectSelector") or {})
        if of_objects is not None and not of_objects.matches(attempt.metadata.get("labels")):
            return False
        of_namespaces = selectors.of_object(hook.get("namespaceSelector") or {})
        if resource.namespaced and of_namespaces is not None:
            found = self._store.get("namespaces.", ("", attempt.metadata.get("namespace", "")))
            return of_namespaces.matches(found.data["metadata"].get("labels") if found else {})
        return True

    async def _ask(self, hook: Json, attempt: Attempt, name: str) -> Json:
        if attempt.dry_run and hook.get("sideEffects") not in ("None", "NoneOnDryRun"):
            raise ApiError(400, "BadRequest", f'admission webhook "{name}" does not support dry run')
        uid = new_uid()
        review = {
            "apiVersion": "admission.k8s.io/v1",
            "kind": "AdmissionReview",
            "request": _request(attempt, uid),
        }
        try:
            answer = await self._post(hook, review)
            response = answer["response"]
            if response.get("uid") != uid:
                raise ValueError(f"expected response.uid={uid!r}, got {response.get('uid')!r}")
            allowed = bool(response["allowed"])
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError, KeyError, TypeError) as error:
            if hook.get("failurePolicy") == "Ignore":
                return {}
            raise internal(f'failed calling webhook "{name}": failed to call webhook: {error!r}') from error
        if not allowed:
            said = response.get("status") or {}
            code, reason = said.get("code") or 0, said.get("reason", "")
            message = said.get("message") or reason
            words = f"denied the request: {message}" if message else "denied the request without explanation"
            raise ApiError(code if code >= 400 else 400, reason, f'admission webhook "{name}" {words}')
        found: Json = response
        return found

    async def _post(self, hook: Json, review: Json) -> Json:
        config = hook["clientConfig"]
        url, server_name = config.get("url"), None
        if not url:
            service = config["service"]
            address = self._locate(service["namespace"], service["name"], service.get("port", 443))
            if address is None:
                raise ValueError(f'no endpoints available for service "{service["name"]}"')
            url = f"https://{address}{service.get('path', '')}"
            server_name = f"{service['name']}.{service['namespace']}.svc"
        context = ssl.create_default_context()
        if config.get("caBundle"):
            context = ssl.create_default_context(cadata=base64.b64decode(config["caBundle"]).decode())
        timeout = aiohttp.ClientTimeout(total=hook.get("timeoutSeconds", 10))
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.post(url, json=review, ssl=context, server_hostname=server_name) as response,
        ):
            response.raise_for_status()
            found: Json = await response.json(content_type=None)
            return found


def _rule_matches(rule: Json, attempt: Attempt, plural: str) -> bool:
    resource = attempt.resource
    scope = rule.get("scope", "*")
    return (
        any(one in ("*", attempt.operation) for one in rule.get("operations") or ())
        and any(one in ("*", resource.group) for one in rule.get("apiGroups") or ())
        and any(one in ("*", resource.version) for one in rule.get("apiVersions") or ())
        and any(_names(one, plural) for one in rule.get("resources") or ())
        and (scope == "*" or (scope == "Namespaced") == resource.namespaced)
    )


def _names(pattern: str, plural: str) -> bool:
    if pattern == "*":
        return "/" not in plural
    return pattern == "*/*" or fnmatch.fnmatchcase(plural, pattern)


def _request(attempt: Attempt, uid: str) -> Json:
    resource, metadata = attempt.resource, attempt.metadata
    kind = {"group": resource.group, "version": resource.version, "kind": resource.kind}
    plural = {"group": resource.group, "version": resource.version, "resource": resource.plural}
    request: Json = {
        "uid": uid,
        "kind": kind,
        "resource": plural,
        "requestKind": kind,
        "requestResource": plural,
        "name": metadata.get("name", ""),
        "operation": attempt.operation,
        "userInfo": {"username": attempt.caller.name, "groups": list(attempt.caller.groups)},
        "object": attempt.obj,
        "oldObject": attempt.old,
        "dryRun": attempt.dry_run,
        "options": None,
    }
    if metadata.get("namespace"):
        request["namespace"] = metadata["namespace"]
    if attempt.subresource:
        request["subResource"] = attempt.subresource
    return request
