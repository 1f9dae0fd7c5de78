"""The gateway's authoriser: asks the rules of a watched file."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path

from ostiary.wire.authorization import Principal
from ostiary.wire.errors import OstiaryError, Reason
from ostiary.wire.identity import Peer, SpiffeId
from ostiary_gateway.rbac import methods
from ostiary_gateway.rbac.audit import AuditLogger, AuthorizationEvent, StdoutAuditLogger
from ostiary_gateway.rbac.bindings import Holder
from ostiary_gateway.rbac.roles import Access, Scope, load
from ostiary_gateway.rbac.rules import Decision
from ostiary_gateway.watched import WatchedFile


class FileAuthorizer:
    """An `ostiary.wire.authorization.Authorizer` over a watched roles.yaml or gRFC A43 policy.

    A changed file takes effect within a second; a bad one leaves the last good in force. A file whose own
    cases turn out otherwise than they say is bad.
    """

    def __init__(
        self,
        path: Path,
        clock: Callable[[], float] = time.monotonic,
        audit: AuditLogger | None = None,
    ) -> None:
        """Read the rules. `audit` records what they want recorded; by default on the standard output.

        Raises:
            ValueError: the file is missing or bad; the message says where.
        """
        self._file = WatchedFile(path, _load_and_try, clock=clock)
        self._audit = audit or StdoutAuditLogger()

    def authorize(self, peer: Peer, method: str, metadata: Mapping[str, str]) -> Principal:
        """The principal of `peer`, if the rules let it call `method`.

        Raises:
            OstiaryError: PERMISSION_DENIED.
        """
        access = self._file.current()
        decision, holder = access.decide(peer.id, method, metadata)
        if access.policy.audit.wants(decision.allowed):
            self._audit.log(
                AuthorizationEvent(method, str(peer.id), access.policy.name, decision.rule, decision.allowed)
            )
        if not decision.allowed:
            raise OstiaryError(Reason.PERMISSION_DENIED, _refusal(peer.id, method, decision, holder))
        found = holder or Holder("", "")
        scope = access.scopes.get(found.role, Scope())
        return Principal(peer.id, found.role, found.tenant, scope.categories, scope.territories)

    def covers(self, method: str) -> bool:
        """Whether some allow rule names `method`."""
        return self._file.current().policy.covers(method)


def _load_and_try(text: str) -> Access:
    access = load(text)
    for failure in access.failures():
        raise ValueError(failure)
    return access


def _refusal(peer: SpiffeId, method: str, decision: Decision, holder: Holder | None) -> str:
    name = methods.short(method)
    if decision.rule:
        return f"The rule {decision.rule} keeps {peer} from {name}: ask who keeps the gateway's roles"
    if holder is None:
        return f"{peer} has no role here: ask for a binding in the gateway's roles"
    if holder.role:
        return f"The role {holder.role} may not call {name}: use another certificate"
    return f"No rule lets {peer} call {name}: use another certificate"
