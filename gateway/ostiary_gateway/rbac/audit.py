"""A record of what the rules said, in the form that gRPC's own audit logger writes (gRFC A59)."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol, TextIO


@dataclass(frozen=True)
class AuthorizationEvent:
    """One decision.

    Attributes:
        rpc_method: `/package.Service/Method`.
        principal: the caller's SPIFFE ID.
        policy_name: of the rules that were asked.
        matched_rule: the one that decided; empty: none held.
        authorized: whether the call may go on.
    """

    rpc_method: str
    principal: str
    policy_name: str
    matched_rule: str
    authorized: bool


class AuditLogger(Protocol):
    """Keeps a record of decisions."""

    def log(self, event: AuthorizationEvent) -> None:
        """Record one; called for each call that the policy wants recorded."""


class StdoutAuditLogger:
    """Writes one JSON object a line, under the key `grpc_audit_log`."""

    def __init__(
        self, out: TextIO | None = None, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._out = out
        self._now = now

    def log(self, event: AuthorizationEvent) -> None:
        """See AuditLogger."""
        document = {"grpc_audit_log": {"timestamp": self._now().isoformat(), **vars(event)}}
        print(json.dumps(document), file=self._out or sys.stdout, flush=True)
