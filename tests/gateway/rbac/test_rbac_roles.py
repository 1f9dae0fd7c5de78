"""roles.yaml: who may call what, and what is refused when it is read."""

from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostiary.v1 import admin_pb2, audit_pb2, moderation_pb2
from ostiary.wire.errors import OstiaryError, Reason
from ostiary.wire.identity import Peer, SpiffeId
from ostiary_gateway.rbac.authorizer import FileAuthorizer
from ostiary_gateway.rbac.roles import as_a43, load
from ostiary_gateway.rbac.rules import Asked

SHIPPED = (files("ostiary_gateway") / "defaults/roles.yaml").read_text(encoding="utf-8")
CHECK = "/ostiary.v1.ModerationService/Check"
SEARCH = "/ostiary.v1.AuditService/SearchCases"
PUT_POLICY = "/ostiary.v1.AdminService/PutPolicy"
METHODS = [
    f"/{service.full_name}/{method.name}"
    for module in (moderation_pb2, audit_pb2, admin_pb2)
    for service in module.DESCRIPTOR.services_by_name.values()
    for method in service.methods
]
GOOD = """
roles:
  pipeline: [ModerationService/Check]
  auditor: [AuditService/*]
bindings:
  - {id: "spiffe://a.test/tenant/one/role/pipeline", role: auditor, tenant: exact}
  - {prefix: "spiffe://a.test/tenant/{tenant}/role/pipeline", role: pipeline}
"""


def peer(id_: str) -> Peer:
    return Peer(SpiffeId.parse(id_), 1, datetime.now(UTC), "00")


@pytest.fixture
def shipped(tmp_path: Path) -> FileAuthorizer:
    path = tmp_path / "roles.yaml"
    path.write_text(SHIPPED, encoding="utf-8")
    return FileAuthorizer(path)


def refusal(roles: FileAuthorizer, id_: str, method: str) -> OstiaryError:
    with pytest.raises(OstiaryError) as caught:
        roles.authorize(peer(id_), method, {})
    return caught.value


@pytest.mark.parametrize("method", METHODS)
def test_the_shipped_roles_cover_every_method(shipped: FileAuthorizer, method: str) -> None:
    """A gateway starts with them: no method is without a rule."""
    assert shipped.covers(method)


def test_a_pipeline_checks_for_its_tenant(shipped: FileAuthorizer) -> None:
    """Role and tenant come from the certificate's path."""
    principal = shipped.authorize(peer("spiffe://ostiary.local/tenant/demo/role/pipeline"), CHECK, {})
    assert (principal.role, principal.tenant) == ("pipeline", "demo")


@pytest.mark.parametrize("role", ["auditor", "lead-auditor", "compliance-admin", "sre", "console"])
def test_nobody_but_a_pipeline_checks(shipped: FileAuthorizer, role: str) -> None:
    """An auditor's certificate on Check is refused, and told why."""
    error = refusal(shipped, f"spiffe://ostiary.local/tenant/demo/role/{role}", CHECK)
    assert error.reason is Reason.PERMISSION_DENIED
    assert f"role {role} may not call ModerationService/Check" in error.message


@pytest.mark.parametrize(
    ("role", "method", "allowed"),
    [
        ("auditor", SEARCH, True),
        ("pipeline", SEARCH, False),
        ("sre", SEARCH, False),
        ("compliance-admin", PUT_POLICY, True),
        ("lead-auditor", PUT_POLICY, False),
        ("lead-auditor", "/ostiary.v1.AuditService/SetLegalHold", True),
        ("auditor", "/ostiary.v1.AuditService/SetLegalHold", False),
        ("auditor", "/ostiary.v1.AuditService/EraseCheck", False),
        ("sre", "/ostiary.v1.AuditService/GetCheckpoint", True),
    ],
)
def test_who_may_what(shipped: FileAuthorizer, role: str, method: str, allowed: bool) -> None:
    """Each shipped role has what it needs and no more."""
    id_ = f"spiffe://ostiary.local/tenant/demo/role/{role}"
    if allowed:
        assert shipped.authorize(peer(id_), method, {}).role == role
    else:
        assert refusal(shipped, id_, method).reason is Reason.PERMISSION_DENIED


@pytest.mark.parametrize(
    "id_",
    [
        "spiffe://ostiary.local/role/pipeline",
        "spiffe://ostiary.local/tenant/demo/role/pipelines",
        "spiffe://ostiary.local/tenant/demo/x/role/pipeline",
        "spiffe://ostiary.local/tenant/role/pipeline",
        "spiffe://ostiary.local/tenant/_x/role/pipeline",
        "spiffe://other.local/tenant/demo/role/pipeline",
        "spiffe://ostiary.local/role/gateway/x",
        "spiffe://ostiary.local/role/pod",
    ],
)
def test_who_is_not_bound_is_refused(shipped: FileAuthorizer, id_: str) -> None:
    """Neither a neighbouring path, nor a part of one, nor another trust domain has a role."""
    assert "has no role" in refusal(shipped, id_, CHECK).message


def test_a_prefix_holds_below_itself(shipped: FileAuthorizer) -> None:
    """Instances of a pipeline may have IDs of their own below it."""
    principal = shipped.authorize(peer("spiffe://ostiary.local/tenant/demo/role/pipeline/batch-3"), CHECK, {})
    assert principal.tenant == "demo"


def test_an_exact_id_wins_over_a_prefix() -> None:
    """The more specific binding decides, wherever it stands; its own tenant holds."""
    access = load(GOOD)
    principal = access.holder(SpiffeId.parse("spiffe://a.test/tenant/one/role/pipeline"))
    assert principal is not None
    assert (principal.role, principal.tenant) == ("auditor", "exact")


_SEGMENT = st.from_regex(r"[a-z]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)


@given(path=st.lists(st.one_of(st.sampled_from(["tenant", "role", "pipeline", "one"]), _SEGMENT), min_size=1))
def test_default_deny(path: list[str]) -> None:
    """Whatever the ID, a role is only ever had by the very segments of a binding."""
    bound = len(path) >= 4 and (path[0], path[2], path[3]) == ("tenant", "role", "pipeline")
    principal = load(GOOD).holder(SpiffeId.parse("spiffe://a.test/" + "/".join(path)))
    assert (principal is not None) == bound


HELD = """
roles:
  eu-shoes:
    methods: [ModerationService/Check, ModerationService/GetCheck]
    tenants: [one, two]
    categories: [shoes]
    territories: [DE, FR]
  auditor: [AuditService/*]
bindings:
  - {prefix: "spiffe://a.test/tenant/{tenant}/pipe", role: eu-shoes}
  - {id: "spiffe://a.test/tenant/one/pipe/odd", role: auditor, tenant: one}
deny:
  - {name: stolen, principals: ["spiffe://a.test/tenant/two/pipe/stolen*"]}
  - {name: dry, methods: [ModerationService/Check], metadata: {x-dry: ["*"]}}
cases:
  - {id: spiffe://a.test/tenant/one/pipe, method: ModerationService/Check, allowed: true, tenant: one}
"""


def held(id_: str, method: str = CHECK, metadata: dict[str, str] | None = None) -> tuple[bool, str]:
    decision, _ = load(HELD).decide(SpiffeId.parse(f"spiffe://a.test/tenant/{id_}"), method, metadata or {})
    return decision.allowed, decision.rule


@pytest.mark.parametrize(
    ("id_", "method", "metadata", "expected"),
    [
        pytest.param("one/pipe", CHECK, {}, (True, "roles.eu-shoes"), id="a tenant of the role"),
        pytest.param("three/pipe", CHECK, {}, (False, ""), id="another tenant"),
        pytest.param("two/pipe/stolen-7", CHECK, {}, (False, "deny.stolen"), id="a stolen identity"),
        pytest.param("one/pipe/stolen-7", CHECK, {}, (True, "roles.eu-shoes"), id="its namesake"),
        pytest.param("one/pipe", CHECK, {"x-dry": "1"}, (False, "deny.dry"), id="denied by metadata"),
        pytest.param("one/pipe", CHECK, {"x-dry": ""}, (True, "roles.eu-shoes"), id="a star is not nothing"),
        pytest.param("one/pipe/odd", CHECK, {}, (False, ""), id="bound to another role"),
        pytest.param("one/pipe/odd", SEARCH, {}, (True, "roles.auditor"), id="and has that one"),
    ],
)
def test_roles_are_held_to_tenants_and_deny_rules(
    id_: str, method: str, metadata: dict[str, str], expected: tuple[bool, str]
) -> None:
    """Deny rules come first, then the role with its tenants; the rule that decided is named."""
    assert held(id_, method, metadata) == expected


def test_a_principal_carries_what_its_role_is_held_to(tmp_path: Path) -> None:
    """Categories and territories are the role's, not the request's."""
    path = tmp_path / "roles.yaml"
    path.write_text(HELD, encoding="utf-8")
    principal = FileAuthorizer(path).authorize(peer("spiffe://a.test/tenant/one/pipe"), CHECK, {})
    assert (principal.categories, principal.territories) == ({"shoes"}, {"DE", "FR"})


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("allowed: false", r"cases\[0\]: .* is allowed: rule roles.eu-shoes"),
        ("allowed: true, tenant: two", "is of the tenant one, not two"),
        ("allowed: true, role: auditor", "has the role eu-shoes, not auditor"),
    ],
)
def test_a_file_whose_cases_fail_is_not_taken(tmp_path: Path, case: str, words: str) -> None:
    """A gateway does not start with roles that do otherwise than their author says."""
    path = tmp_path / "roles.yaml"
    path.write_text(HELD.replace("allowed: true, tenant: one", case), encoding="utf-8")
    with pytest.raises(ValueError, match=words):
        FileAuthorizer(path)


@given(
    path=st.lists(
        st.sampled_from(["tenant", "one", "two", "three", "pipe", "odd", "stolen", "stolen-7", "x"]),
        min_size=1,
        max_size=6,
    ),
    method=st.sampled_from(METHODS),
    dry=st.booleans(),
)
def test_the_same_rules_in_the_terms_of_a43_decide_alike(path: list[str], method: str, dry: bool) -> None:
    """What is exported says the same about every caller, method and metadata as what it was made from."""
    access = load(HELD.replace("    categories: [shoes]\n    territories: [DE, FR]\n", ""))
    peer_id = SpiffeId.parse("spiffe://a.test/" + "/".join(path))
    metadata = {"x-dry": "1"} if dry else {}
    asked = Asked(str(peer_id), "", "", method, metadata)
    assert as_a43(access).decide(asked).allowed == access.decide(peer_id, method, metadata)[0].allowed


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param(GOOD, "list the tenants of the role pipeline", id="tenants that are not listed"),
        pytest.param(HELD, "no words for categories and territories", id="categories"),
        pytest.param(
            """
roles: {a: [ModerationService/Check], b: [AuditService/*]}
bindings: [{prefix: "spiffe://a.test/x", role: a}, {prefix: "spiffe://a.test/x/y", role: b}]
""",
            "cannot say which of the two comes first",
            id="bindings that overlap",
        ),
    ],
)
def test_what_a43_cannot_say_is_not_exported(text: str, words: str) -> None:
    """An export that would let in more than the roles do is refused."""
    with pytest.raises(ValueError, match=words):
        as_a43(load(text))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            "[ModerationService/Check]",
            "[ModerationService/Chekc]",
            r"roles.pipeline\[0\]: there is no method",
        ),
        ("[AuditService/*]", "[AuditServices/*]", r"roles.auditor\[0\]: there is no method"),
        ("[AuditService/*]", "['*']", r"roles.auditor\[0\]: there is no method"),
        ("role: pipeline}", "role: pipelin}", r"bindings\[1\].role: there is no role 'pipelin'"),
        ("role: pipeline}", "rule: pipeline}", "bindings.1.rule"),
        ("id:", "prefix: spiffe://a.test/x, id:", r"bindings\[0\]: give either id"),
        ("spiffe://a.test/tenant/one/", "spiffe://a.test/tenant/../", r"bindings\[0\].id"),
        ("spiffe://a.test/tenant/one/", "spiffe://a.test/tenant/{tenant}/", r"bindings\[0\].id: {tenant}"),
        ("tenant/{tenant}/", "tenant/x{tenant}/", "must be a whole segment"),
        ("tenant/{tenant}/role", "{tenant}/{tenant}", "may stand once"),
        ("role: pipeline}", "role: pipeline, tenant: x}", r"bindings\[1\].tenant: the prefix names"),
        ("tenant: exact", "tenant: 'a b'", r"bindings\[0\].tenant"),
        ("roles:", "roles: {}\nold:", "old"),
        ("auditor: [", "pipeline: [", "'pipeline' is given twice"),
        ("[ModerationService/Check]", "[]", "roles.pipeline.methods"),
        (
            "[ModerationService/Check]",
            "{methods: [ModerationService/Check], tenants: ['a b']}",
            r"roles.pipeline.tenants\[0\]: letters",
        ),
        (
            "[ModerationService/Check]",
            "{methods: [ModerationService/Check], territories: [de]}",
            "roles.pipeline.territories.0",
        ),
        ("roles:", "deny: [{name: all}]\nroles:", r"deny\[0\]: it would deny every call"),
        (
            "roles:",
            "deny: [{name: a, tenants: [x]}, {name: a, tenants: [y]}]\nroles:",
            "two rules are called 'a'",
        ),
        (
            "roles:",
            "deny: [{name: a, principals: [CN=root]}]\nroles:",
            r"deny\[0\].principals\[0\]: .*only SPIFFE IDs",
        ),
        (
            "roles:",
            "deny: [{name: a, metadata: {grpc-timeout: ['*']}}]\nroles:",
            r"deny\[0\].metadata: 'grpc-timeout' belongs to",
        ),
        ("roles:", "audit: sometimes\nroles:", "audit"),
        (
            "roles:",
            "cases: [{id: CN=x, method: ModerationService/Check, allowed: true}]\nroles:",
            r"cases\[0\].id",
        ),
        (
            "roles:",
            "cases: [{id: 'spiffe://a.test/x', method: Check, allowed: true}]\nroles:",
            r"cases\[0\].method: there is no method 'Check'",
        ),
    ],
)
def test_bad_roles_are_refused_in_words(old: str, new: str, words: str) -> None:
    """Each mistake is named with its place, and nothing of the file is applied."""
    load(GOOD)
    with pytest.raises(ValueError, match=words):
        load(GOOD.replace(old, new))


def test_roles_follow_the_file_and_keep_the_last_good(tmp_path: Path) -> None:
    """A change takes effect within a second; a bad one changes nothing."""
    now = [0.0]
    path = tmp_path / "roles.yaml"
    path.write_text(GOOD, encoding="utf-8")
    roles = FileAuthorizer(path, clock=lambda: now[0])
    caller = peer("spiffe://a.test/tenant/two/role/pipeline")
    roles.authorize(caller, CHECK, {})

    path.write_text("roles: [", encoding="utf-8")
    now[0] = 1.0
    roles.authorize(caller, CHECK, {})

    path.write_text(GOOD.replace("ModerationService/Check", "ModerationService/GetCheck"), encoding="utf-8")
    now[0] = 2.0
    with pytest.raises(OstiaryError):
        roles.authorize(caller, CHECK, {})
    assert not roles.covers(CHECK)
