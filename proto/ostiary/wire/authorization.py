"""What an authoriser is, and the one for servers with a fixed set of callers."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

from ostiary.wire.errors import OstiaryError, Reason
from ostiary.wire.identity import Peer, SpiffeId


@dataclass(frozen=True)
class Principal:
    """A peer with the role and the tenant that configuration binds to it; never taken from a request."""

    id: SpiffeId
    role: str
    tenant: str
    """Empty for principals that belong to no tenant."""
    categories: frozenset[str] = frozenset()
    """Categories of listings that it may send; empty: all."""
    territories: frozenset[str] = frozenset()
    """Territories of listings that it may send; empty: all."""


class Authorizer(Protocol):
    """Decides who may call what. Default deny."""

    def authorize(self, peer: Peer, method: str, metadata: Mapping[str, str]) -> Principal:
        """The principal of `peer`, if it may call `method` (`/package.Service/Method`).

        `metadata`: the call's textual metadata, keys in lower case, values of a repeated key joined by
        commas.

        Raises OstiaryError(PERMISSION_DENIED) or OstiaryError(UNAUTHENTICATED).
        """

    def covers(self, method: str) -> bool:
        """Whether an explicit rule names `method`; a server does not start with one that none names."""


class AllowedIds:
    """Exact SPIFFE IDs that may call exact methods, all in one role and of no tenant."""

    def __init__(self, role: str, ids: Collection[SpiffeId], methods: Collection[str]) -> None:
        self._role = role
        self._ids = frozenset(ids)
        self._methods = frozenset(methods)

    def authorize(self, peer: Peer, method: str, metadata: Mapping[str, str]) -> Principal:
        """See Authorizer."""
        if peer.id not in self._ids or method not in self._methods:
            raise OstiaryError(Reason.PERMISSION_DENIED, f"{peer.id} may not call {method}")
        return Principal(id=peer.id, role=self._role, tenant="")

    def covers(self, method: str) -> bool:
        """See Authorizer."""
        return method in self._methods
