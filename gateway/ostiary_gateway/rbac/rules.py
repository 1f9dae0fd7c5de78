"""What rules say about a call: deny rules first, then allow rules, and nothing is allowed that none allows.

The terms and their meaning are those of gRFC A43 (gRPC's authorization policies), wherever the rules came
from. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal


@dataclass(frozen=True, slots=True)
class Pattern:
    """`text`, `text*`, `*text`, or `*`, which is anything but nothing."""

    kind: Literal["exact", "prefix", "suffix", "presence"]
    text: str

    @classmethod
    def parse(cls, written: str) -> Pattern:
        """The pattern that is `written`; a star in the middle is a star."""
        if written == "*":
            return cls("presence", "")
        if written.startswith("*"):
            return cls("suffix", written[1:])
        if written.endswith("*"):
            return cls("prefix", written[:-1])
        return cls("exact", written)

    def matches(self, value: str) -> bool:
        """Whether the whole of `value` fits."""
        if self.kind == "exact":
            return value == self.text
        if self.kind == "prefix":
            return value.startswith(self.text)
        if self.kind == "suffix":
            return value.endswith(self.text)
        return bool(value)

    def __str__(self) -> str:
        return {"exact": self.text, "prefix": f"{self.text}*", "suffix": f"*{self.text}", "presence": "*"}[
            self.kind
        ]


@dataclass(frozen=True, slots=True)
class Asked:
    """A call, as rules see it.

    Attributes:
        principal: the caller's SPIFFE ID.
        role: the role that a binding gives it; may be empty.
        tenant: likewise its tenant.
        path: `/package.Service/Method`.
        metadata: textual metadata; keys in lower case, values of a repeated key joined by commas.
    """

    principal: str
    role: str
    tenant: str
    path: str
    metadata: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Header:
    """Metadata `key` whose value fits one of `values`; metadata that is not there fits none."""

    key: str
    values: tuple[Pattern, ...]

    @classmethod
    def parse(cls, key: str, values: Iterable[str]) -> Header:
        """A header as it is written: its key in any case, its values as patterns."""
        return cls(key.lower(), tuple(map(Pattern.parse, values)))

    def matches(self, metadata: Mapping[str, str]) -> bool:
        """Whether the metadata of a call has it."""
        value = metadata.get(self.key)
        return value is not None and any(pattern.matches(value) for pattern in self.values)


@dataclass(frozen=True, slots=True)
class Rule:
    """Holds for a call that fits in every respect; an empty respect is fitted by every call.

    Attributes:
        name: unique in its policy.
        principals: patterns of SPIFFE IDs, one of which must fit.
        roles: roles, one of which the caller must have.
        tenants: tenants, one of which the caller must belong to.
        paths: patterns of method paths, one of which must fit.
        headers: metadata, all of which the call must carry.
    """

    name: str
    principals: tuple[Pattern, ...] = ()
    roles: frozenset[str] = frozenset()
    tenants: frozenset[str] = frozenset()
    paths: tuple[Pattern, ...] = ()
    headers: tuple[Header, ...] = ()

    def matches(self, asked: Asked) -> bool:
        """Whether it holds for a call."""
        return (
            (not self.roles or asked.role in self.roles)
            and (not self.tenants or asked.tenant in self.tenants)
            and _any_fits(self.principals, asked.principal)
            and _any_fits(self.paths, asked.path)
            and all(header.matches(asked.metadata) for header in self.headers)
        )

    def names(self, path: str) -> bool:
        """Whether it holds for some call of a method."""
        return _any_fits(self.paths, path)


class Condition(StrEnum):
    """Which calls are recorded (gRFC A59)."""

    NEVER = "never"
    ON_DENY = "on_deny"
    ON_ALLOW = "on_allow"
    ALWAYS = "always"

    def wants(self, allowed: bool) -> bool:
        """Whether a call that was allowed, or was not, is recorded."""
        return self is Condition.ALWAYS or self is (Condition.ON_ALLOW if allowed else Condition.ON_DENY)


@dataclass(frozen=True, slots=True)
class Decision:
    """`rule`: the name of the one that decided; empty: none held, and the call is denied."""

    allowed: bool
    rule: str


@dataclass(frozen=True, slots=True)
class Policy:
    """Rules in force."""

    name: str
    deny: tuple[Rule, ...]
    allow: tuple[Rule, ...]
    audit: Condition = Condition.NEVER

    def decide(self, asked: Asked) -> Decision:
        """What the rules say about a call."""
        for rule in self.deny:
            if rule.matches(asked):
                return Decision(False, rule.name)
        for rule in self.allow:
            if rule.matches(asked):
                return Decision(True, rule.name)
        return Decision(False, "")

    def covers(self, path: str) -> bool:
        """Whether some allow rule names a method."""
        return any(rule.names(path) for rule in self.allow)


def _any_fits(patterns: tuple[Pattern, ...], value: str) -> bool:
    return not patterns or any(pattern.matches(value) for pattern in patterns)
