"""Whose checks an A/B sends where: the candidate's callers, and those that they are compared with."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from ostiary_operator.resources.model_deployment import AB
from ostiary_operator.resources.part import WHOLE
from ostiary_operator.rollout.snapshot import Pin


@dataclass(frozen=True)
class Callers:
    """Tenants, and those with one of `headers` as their `ostiary-version-pin`."""

    tenants: tuple[str, ...]
    headers: tuple[str, ...]

    def pins(self, version: str, arm: str) -> frozenset[Pin]:
        """What fixes them to a version."""
        tenants = [Pin(tenant, "", version, arm) for tenant in self.tenants]
        return frozenset(tenants + [Pin("", header, version, arm) for header in self.headers])


def arms(ab: AB, model: str, candidate: str) -> tuple[Callers, Callers | None]:
    """The candidate's callers, and the control's; None where they are compared with all others.

    A split is the same for as long as that version is on its way, and another for the next one: it is not
    always the same callers that new versions are tried on.
    """
    if ab.control is None:
        return Callers(ab.tenants, ab.headers), None
    if ab.control.split is None:
        return Callers(ab.tenants, ab.headers), Callers(ab.control.tenants, ab.control.headers)
    callers = [("tenant", one) for one in ab.tenants] + [("header", one) for one in ab.headers]
    drawn = sorted(callers, key=lambda one: _drawn(model, candidate, *one))
    count = min(max(1, round(len(drawn) * ab.control.split / WHOLE)), len(drawn) - 1)
    control = frozenset(drawn[:count])
    return _of(callers, frozenset(callers) - control), _of(callers, control)


def whose(ab: AB, model: str, candidate: str) -> str:
    """In words: whose checks the candidate gets, and beside whose it is compared."""
    own, control = arms(ab, model, candidate)
    return _named(own) + (f", beside those of {_named(control)}" if control is not None else "")


def _named(callers: Callers) -> str:
    named = (("tenant", callers.tenants), ("version pin", callers.headers))
    return ", ".join(f"{what} {' and '.join(those)}" for what, those in named if those)


def _of(callers: Sequence[tuple[str, str]], arm: Collection[tuple[str, str]]) -> Callers:
    """Those of an arm, in the order of the spec."""
    tenants, headers = (
        tuple(name for of, name in callers if of == kind and (of, name) in arm)
        for kind in ("tenant", "header")
    )
    return Callers(tenants, headers)


def _drawn(*of: str) -> bytes:
    return hashlib.sha256("\0".join(of).encode()).digest()
