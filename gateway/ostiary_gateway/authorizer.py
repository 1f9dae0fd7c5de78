"""roles.yaml → who may call what. Default deny.

A role is a list of methods; a binding ties SPIFFE IDs to one role and at most one tenant. The tenant stands
in the ID's path or in the binding, never in a request.
"""

import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from google.protobuf.descriptor import ServiceDescriptor
from pydantic import BaseModel, ConfigDict, Field

from ostiary.v1 import admin_pb2, audit_pb2, inference_pb2, moderation_pb2
from ostiary.wire.authorization import Principal
from ostiary.wire.errors import OstiaryError, Reason
from ostiary.wire.identity import Peer, SpiffeId
from ostiary_gateway import strict_yaml
from ostiary_gateway.watched import WatchedFile

TENANT = "{tenant}"
_TENANT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_MODEL = ConfigDict(extra="forbid", frozen=True, strict=True)
SERVICES: tuple[ServiceDescriptor, ...] = tuple(
    service
    for module in (moderation_pb2, audit_pb2, admin_pb2, inference_pb2)
    for service in module.DESCRIPTOR.services_by_name.values()
)
_PATHS = {
    f"{service.name}/{method.name}": f"/{service.full_name}/{method.name}"
    for service in SERVICES
    for method in service.methods
}


class _BindingSource(BaseModel):
    model_config = _MODEL

    id: str = ""
    prefix: str = ""
    role: str
    tenant: str = ""


class _RolesSource(BaseModel):
    model_config = _MODEL

    roles: Annotated[dict[str, list[str]], Field(min_length=1)]
    bindings: Annotated[list[_BindingSource], Field(min_length=1)]


@dataclass(frozen=True)
class Binding:
    """Ties IDs to a role.

    Attributes:
        trust_domain: the only one that the binding holds for.
        segments: path segments; one may be `{tenant}`.
        exact: whether the path ends after them; else more whole segments may follow.
        role: role of the principals.
        tenant: their tenant, where no segment names it; may be empty.
    """

    trust_domain: str
    segments: tuple[str, ...]
    exact: bool
    role: str
    tenant: str

    def match(self, peer: SpiffeId) -> Principal | None:
        """The principal that `peer` is; None where the binding does not hold for it."""
        given = tuple(peer.path.strip("/").split("/"))
        long_enough = len(given) == len(self.segments) if self.exact else len(given) >= len(self.segments)
        if peer.trust_domain != self.trust_domain or not long_enough:
            return None
        tenant = self.tenant
        for wanted, segment in zip(self.segments, given, strict=False):
            if wanted == TENANT and _TENANT_NAME.fullmatch(segment):
                tenant = segment
            elif wanted != segment:
                return None
        return Principal(id=peer, role=self.role, tenant=tenant)


@dataclass(frozen=True)
class Roles:
    """A valid roles.yaml: full method paths by role, and bindings, the exact ones first."""

    methods: Mapping[str, frozenset[str]]
    bindings: tuple[Binding, ...]

    def principal(self, peer: SpiffeId) -> Principal | None:
        """Who `peer` is; the first binding that holds decides."""
        return next((found for binding in self.bindings if (found := binding.match(peer))), None)


class RolesAuthorizer:
    """An `ostiary.wire.authorization.Authorizer` over a watched roles.yaml.

    A changed file takes effect within a second; a bad one leaves the last good in force.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        """Read the roles.

        Raises:
            ValueError: the file is missing or bad; the message says where.
        """
        self._file = WatchedFile(path, load, clock=clock)

    def authorize(self, peer: Peer, method: str) -> Principal:
        """The principal of `peer`, if its role names `method`.

        Raises:
            OstiaryError: PERMISSION_DENIED.
        """
        roles = self._file.current()
        principal = roles.principal(peer.id)
        if principal is None:
            raise OstiaryError(
                Reason.PERMISSION_DENIED,
                f"{peer.id} has no role here: ask for a binding in the gateway's roles",
            )
        if method not in roles.methods[principal.role]:
            name = method.rpartition(".")[2]
            raise OstiaryError(
                Reason.PERMISSION_DENIED,
                f"The role {principal.role} may not call {name}: use another certificate",
            )
        return principal

    def covers(self, method: str) -> bool:
        """Whether some role names `method`."""
        return any(method in methods for methods in self._file.current().methods.values())


def load(text: str) -> Roles:
    """The roles written in `text`.

    Raises:
        ValueError: in words: what is wrong where.
    """
    source = strict_yaml.parse_model(text, _RolesSource)
    methods = {name: _expand(f"roles.{name}", listed) for name, listed in source.roles.items()}
    bindings = [_binding(f"bindings[{number}]", item) for number, item in enumerate(source.bindings)]
    for number, binding in enumerate(bindings):
        if binding.role not in methods:
            raise ValueError(f"bindings[{number}].role: there is no role {binding.role!r} under roles")
    return Roles(methods, tuple(sorted(bindings, key=lambda binding: not binding.exact)))


def _expand(path: str, listed: Iterable[str]) -> frozenset[str]:
    """Full paths of methods given as `Service/Method` or `Service/*`."""
    paths: set[str] = set()
    for number, name in enumerate(listed):
        service, _, method = name.partition("/")
        named = {
            known for known in _PATHS if known == name or (method == "*" and known.startswith(f"{service}/"))
        }
        if not named:
            raise ValueError(
                f"{path}[{number}]: there is no method {name!r}; write it as ModerationService/Check"
            )
        paths.update(_PATHS[known] for known in named)
    return frozenset(paths)


def _binding(path: str, source: _BindingSource) -> Binding:
    if bool(source.id) == bool(source.prefix):
        raise ValueError(f"{path}: give either id (one ID) or prefix (all IDs below a path)")
    written = source.id or source.prefix
    segments = _segments(path, written, allow_tenant=not source.id)
    if source.tenant and TENANT in segments:
        raise ValueError(f"{path}.tenant: the prefix names the tenant already; leave one of the two out")
    if source.tenant and not _TENANT_NAME.fullmatch(source.tenant):
        raise ValueError(f"{path}.tenant: letters, digits, dots, hyphens and underscores, at most 128")
    domain = written.removeprefix("spiffe://").partition("/")[0]
    return Binding(domain, segments, bool(source.id), source.role, source.tenant)


def _segments(path: str, written: str, *, allow_tenant: bool) -> tuple[str, ...]:
    key = "prefix" if allow_tenant else "id"
    if written.count(TENANT) > int(allow_tenant):
        raise ValueError(f"{path}.{key}: {TENANT} may stand once, as a whole segment of a prefix")
    try:
        # A stand-in makes the prefix an ID, so that the strict parser can judge the rest of it.
        parsed = SpiffeId.parse(written.rstrip("/").replace(TENANT, "tenant"))
    except ValueError as error:
        raise ValueError(f"{path}.{key}: {error}") from error
    given = tuple(written.rstrip("/").removeprefix(f"spiffe://{parsed.trust_domain}/").split("/"))
    if any(TENANT in segment and segment != TENANT for segment in given):
        raise ValueError(f"{path}.{key}: {TENANT} must be a whole segment of the path")
    return given
