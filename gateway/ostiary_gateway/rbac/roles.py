"""roles.yaml: roles, and the SPIFFE IDs that have them, compiled to rules. Pure.

A role is a list of methods, and may be held to tenants, categories and territories; a binding ties SPIFFE IDs
to one role and at most one tenant. A file that holds a gRFC A43 policy instead is taken as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from ostiary.wire.identity import SpiffeId
from ostiary_gateway import strict_yaml
from ostiary_gateway.rbac import a43, bindings, methods
from ostiary_gateway.rbac.bindings import TENANT, Binding, Holder
from ostiary_gateway.rbac.rules import Asked, Condition, Decision, Header, Pattern, Policy, Rule

_MODEL = ConfigDict(extra="forbid", frozen=True, strict=True)


def _in_full(written: Any) -> Any:
    """A role may be written as the list of its methods alone."""
    return {"methods": written} if isinstance(written, list) else written


class _RoleSource(BaseModel):
    model_config = _MODEL

    methods: Annotated[list[str], Field(min_length=1)]
    tenants: list[str] = []
    categories: list[str] = []
    territories: list[Annotated[str, Field(pattern=r"^[A-Z]{2}$")]] = []


class _BindingSource(BaseModel):
    model_config = _MODEL

    id: str = ""
    prefix: str = ""
    role: str
    tenant: str = ""


class _DenySource(BaseModel):
    model_config = _MODEL

    name: Annotated[str, Field(min_length=1)]
    principals: list[str] = []
    tenants: list[str] = []
    methods: list[str] = []
    metadata: dict[str, list[str]] = {}


class _CaseSource(BaseModel):
    model_config = _MODEL

    id: str
    method: str
    allowed: bool
    role: str | None = None
    tenant: str | None = None
    metadata: dict[str, str] = {}


class _RolesSource(BaseModel):
    model_config = _MODEL

    roles: Annotated[dict[str, Annotated[_RoleSource, BeforeValidator(_in_full)]], Field(min_length=1)]
    bindings: Annotated[list[_BindingSource], Field(min_length=1)]
    deny: list[_DenySource] = []
    audit: Annotated[Condition, BeforeValidator(Condition)] = Condition.NEVER
    cases: list[_CaseSource] = []


@dataclass(frozen=True)
class Scope:
    """What listings a role may send; empty: all."""

    categories: frozenset[str] = frozenset()
    territories: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Case:
    """A call, and what the file's author means to happen to it.

    Attributes:
        peer: who calls.
        path: what it calls.
        allowed: whether it may.
        role: the role that it has then; None: any.
        tenant: likewise.
        metadata: what the call carries.
    """

    peer: SpiffeId
    path: str
    allowed: bool
    role: str | None = None
    tenant: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Access:
    """Who may call what.

    Attributes:
        policy: the rules.
        bindings: who has which role, the exact ones first; None: everybody has the role and the tenant that
            `/tenant/T/role/R` or `/role/R` in the ID says, as `ostiary pki` issues them.
        scopes: by role; one that is not there is held to nothing.
        cases: what the author means by it.
    """

    policy: Policy
    bindings: tuple[Binding, ...] | None
    scopes: Mapping[str, Scope] = field(default_factory=dict)
    cases: tuple[Case, ...] = ()

    def holder(self, peer: SpiffeId) -> Holder | None:
        """Role and tenant of `peer`; None: it has none here."""
        return _as_issued(peer) if self.bindings is None else bindings.holder(self.bindings, peer)

    def decide(
        self, peer: SpiffeId, path: str, metadata: Mapping[str, str]
    ) -> tuple[Decision, Holder | None]:
        """What the rules say about a call of `peer`, and as whom it was asked."""
        found = self.holder(peer)
        role, tenant = (found.role, found.tenant) if found else ("", "")
        return self.policy.decide(Asked(str(peer), role, tenant, path, metadata)), found

    def failures(self) -> Iterator[str]:
        """The cases that turn out otherwise than their author means, in words."""
        for number, case in enumerate(self.cases):
            decision, found = self.decide(case.peer, case.path, case.metadata)
            because = f"rule {decision.rule}" if decision.rule else "no rule holds"
            here = f"cases[{number}]: {case.peer} on {methods.short(case.path)}"
            if decision.allowed != case.allowed:
                yield f"{here} is {'allowed' if decision.allowed else 'denied'}: {because}"
            elif case.role is not None and (found.role if found else "") != case.role:
                yield f"{here} has the role {found.role if found else 'none'}, not {case.role}"
            elif case.tenant is not None and (found.tenant if found else "") != case.tenant:
                yield f"{here} is of the tenant {(found and found.tenant) or 'none'}, not {case.tenant}"


def load(text: str) -> Access:
    """Who may call what as `text` has it: roles, or a gRFC A43 policy.

    Raises:
        ValueError: in words: what is wrong where.
    """
    document = strict_yaml.parse_mapping(text)
    if {"allow_rules", "deny_rules"} & document.keys():
        return Access(a43.of(document), None)
    source = strict_yaml.fit(document, _RolesSource)
    allow = tuple(_role_rule(name, role) for name, role in source.roles.items())
    bound = [
        _binding(f"bindings[{number}]", item, source.roles) for number, item in enumerate(source.bindings)
    ]
    return Access(
        policy=Policy("roles", tuple(_deny_rules(source.deny)), allow, source.audit),
        bindings=bindings.in_order(bound),
        scopes={
            name: Scope(frozenset(role.categories), frozenset(role.territories))
            for name, role in source.roles.items()
            if role.categories or role.territories
        },
        cases=tuple(_case(f"cases[{number}]", case) for number, case in enumerate(source.cases)),
    )


def as_a43(access: Access) -> Policy:
    """The same rules in the terms of gRFC A43, which has neither roles nor tenants.

    Raises:
        ValueError: it has no words for them: for tenants that are not listed, for bindings that overlap, and
            for categories and territories.
    """
    if access.bindings is None:
        return access.policy
    for role in access.scopes:
        raise ValueError(f"roles.{role}: gRFC A43 has no words for categories and territories")
    allow = []
    for rule in access.policy.allow:
        (role,) = rule.roles
        own = [binding for binding in access.bindings if binding.role == role]
        principals = [pattern for binding in own for pattern in _patterns(binding, rule.tenants)]
        if principals:
            allow.append(Rule(rule.name, principals=tuple(principals), paths=rule.paths))
    deny = (*access.policy.deny, *_exceptions(access))
    return Policy(access.policy.name, deny, tuple(allow), access.policy.audit)


def _role_rule(name: str, role: _RoleSource) -> Rule:
    where = f"roles.{name}"
    for number, tenant in enumerate(role.tenants):
        bindings.check_tenant(f"{where}.tenants[{number}]", tenant)
    paths = methods.expand(where, role.methods)
    return Rule(where, roles=frozenset({name}), tenants=frozenset(role.tenants), paths=_exactly(paths))


def _binding(where: str, source: _BindingSource, roles: Mapping[str, _RoleSource]) -> Binding:
    if source.role not in roles:
        raise ValueError(f"{where}.role: there is no role {source.role!r} under roles")
    return bindings.parse_binding(
        where, id_=source.id, prefix=source.prefix, role=source.role, tenant=source.tenant
    )


def _deny_rules(written: Sequence[_DenySource]) -> Iterator[Rule]:
    a43.check_names("deny: ", (rule.name for rule in written))
    for number, source in enumerate(written):
        where = f"deny[{number}]"
        if not (source.principals or source.tenants or source.methods or source.metadata):
            raise ValueError(
                f"{where}: it would deny every call: name principals, tenants, methods or metadata"
            )
        for index, principal in enumerate(source.principals):
            a43.check_principal(f"{where}.principals[{index}]", principal)
        for key in source.metadata:
            a43.check_header(f"{where}.metadata", key)
        yield Rule(
            f"deny.{source.name}",
            principals=tuple(map(Pattern.parse, source.principals)),
            tenants=frozenset(source.tenants),
            paths=_exactly(methods.expand(f"{where}.methods", source.methods)),
            headers=tuple(Header.parse(key, values) for key, values in source.metadata.items()),
        )


def _case(where: str, source: _CaseSource) -> Case:
    try:
        peer = SpiffeId.parse(source.id)
    except ValueError as error:
        raise ValueError(f"{where}.id: {error}") from error
    if source.method not in methods.PATHS:
        raise ValueError(
            f"{where}.method: there is no method {source.method!r}; write it as ModerationService/Check"
        )
    metadata = {key.lower(): value for key, value in source.metadata.items()}
    path = methods.PATHS[source.method]
    return Case(peer, path, source.allowed, source.role, source.tenant, metadata)


def _exactly(paths: Iterable[str]) -> tuple[Pattern, ...]:
    return tuple(Pattern("exact", path) for path in paths)


def _as_issued(peer: SpiffeId) -> Holder | None:
    match peer.path.strip("/").split("/"):
        case ["tenant", tenant, "role", role, *_]:
            return Holder(role, tenant)
        case ["role", role, *_]:
            return Holder(role, "")
    return None


def _patterns(binding: Binding, tenants: frozenset[str]) -> list[Pattern]:
    """The IDs of a binding whose tenants are among `tenants`; none given: all."""
    if TENANT in binding.segments:
        if not tenants:
            raise ValueError(
                f"{binding}: gRFC A43 has no word for {TENANT}: list the tenants of the role {binding.role}"
            )
        filled = [
            tuple(tenant if segment == TENANT else segment for segment in binding.segments)
            for tenant in sorted(tenants)
        ]
    else:
        filled = [binding.segments] if not tenants or binding.tenant in tenants else []
    ids = [f"spiffe://{binding.trust_domain}/{'/'.join(segments)}" for segments in filled]
    exact = [Pattern("exact", id_) for id_ in ids]
    return exact if binding.exact else [*exact, *(Pattern("prefix", f"{id_}/") for id_ in ids)]


def _exceptions(access: Access) -> Iterator[Rule]:
    """What an ID that is bound exactly may not do, though a wider binding would let it: A43 adds up."""
    rules = {role: rule for rule in access.policy.allow for role in rule.roles}
    exact = [binding for binding in access.bindings or () if binding.exact]
    wide = [binding for binding in access.bindings or () if not binding.exact]
    for number, one in enumerate(wide):
        for other in wide[number + 1 :]:
            if one.role != other.role and _overlap(one, other):
                raise ValueError(f"{one} and {other}: gRFC A43 cannot say which of the two comes first")
    for binding in exact:
        peer = SpiffeId(binding.trust_domain, "/" + "/".join(binding.segments))
        own = {pattern.text for pattern in rules[binding.role].paths}
        over = {
            pattern
            for other in wide
            if other.role != binding.role and other.match(peer)
            for pattern in rules[other.role].paths
            if pattern.text not in own
        }
        if over:
            paths = tuple(sorted(over, key=lambda pattern: pattern.text))
            yield Rule(f"only.{binding.role}.{peer}", principals=(Pattern("exact", str(peer)),), paths=paths)


def _overlap(one: Binding, other: Binding) -> bool:
    """Whether some ID fits both prefixes."""
    return one.trust_domain == other.trust_domain and all(
        TENANT in (left, right) or left == right
        for left, right in zip(one.segments, other.segments, strict=False)
    )
