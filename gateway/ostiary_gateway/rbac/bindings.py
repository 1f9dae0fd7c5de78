"""Which SPIFFE IDs have which role and tenant. Pure.

The tenant stands in the ID's path or in the binding, never in a request.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from ostiary.wire.identity import SpiffeId

TENANT = "{tenant}"
_TENANT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


@dataclass(frozen=True)
class Holder:
    """What a binding gives the peer that it holds for; `tenant` may be empty."""

    role: str
    tenant: str


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

    def match(self, peer: SpiffeId) -> Holder | None:
        """Role and tenant of `peer`; None where the binding does not hold for it."""
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
        return Holder(self.role, tenant)

    def __str__(self) -> str:
        return f"spiffe://{self.trust_domain}/{'/'.join(self.segments)}{'' if self.exact else '(/…)'}"


def in_order(bindings: Iterable[Binding]) -> tuple[Binding, ...]:
    """The exact ones first: the first that holds decides."""
    return tuple(sorted(bindings, key=lambda binding: not binding.exact))


def holder(bindings: Iterable[Binding], peer: SpiffeId) -> Holder | None:
    """Role and tenant of `peer` by the first binding that holds; None: it is nobody here."""
    return next((found for binding in bindings if (found := binding.match(peer))), None)


def parse_binding(where: str, *, id_: str, prefix: str, role: str, tenant: str) -> Binding:
    """A binding as it is written; exactly one of `id_` and `prefix` is not empty.

    Raises:
        ValueError: in words, beginning with `where`.
    """
    if bool(id_) == bool(prefix):
        raise ValueError(f"{where}: give either id (one ID) or prefix (all IDs below a path)")
    written = id_ or prefix
    segments = _segments(where, written, allow_tenant=not id_)
    if tenant and TENANT in segments:
        raise ValueError(f"{where}.tenant: the prefix names the tenant already; leave one of the two out")
    check_tenant(f"{where}.tenant", tenant)
    domain = written.removeprefix("spiffe://").partition("/")[0]
    return Binding(domain, segments, bool(id_), role, tenant)


def check_tenant(where: str, tenant: str) -> None:
    """Raises ValueError for a name that no tenant can have; an empty one is none."""
    if tenant and not _TENANT_NAME.fullmatch(tenant):
        raise ValueError(f"{where}: letters, digits, dots, hyphens and underscores, at most 128")


def _segments(where: str, written: str, *, allow_tenant: bool) -> tuple[str, ...]:
    key = "prefix" if allow_tenant else "id"
    if written.count(TENANT) > int(allow_tenant):
        raise ValueError(f"{where}.{key}: {TENANT} may stand once, as a whole segment of a prefix")
    try:
        # A stand-in makes the prefix an ID, so that the strict parser can judge the rest of it.
        parsed = SpiffeId.parse(written.rstrip("/").replace(TENANT, "tenant"))
    except ValueError as error:
        raise ValueError(f"{where}.{key}: {error}") from error
    given = tuple(written.rstrip("/").removeprefix(f"spiffe://{parsed.trust_domain}/").split("/"))
    if any(TENANT in segment and segment != TENANT for segment in given):
        raise ValueError(f"{where}.{key}: {TENANT} must be a whole segment of the path")
    return given
