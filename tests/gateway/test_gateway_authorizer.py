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
from ostiary_gateway import authorizer
from ostiary_gateway.authorizer import RolesAuthorizer

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
def shipped(tmp_path: Path) -> RolesAuthorizer:
    path = tmp_path / "roles.yaml"
    path.write_text(SHIPPED, encoding="utf-8")
    return RolesAuthorizer(path)


def refusal(roles: RolesAuthorizer, id_: str, method: str) -> OstiaryError:
    with pytest.raises(OstiaryError) as caught:
        roles.authorize(peer(id_), method)
    return caught.value


@pytest.mark.parametrize("method", METHODS)
def test_the_shipped_roles_cover_every_method(shipped: RolesAuthorizer, method: str) -> None:
    """A gateway starts with them: no method is without a rule."""
    assert shipped.covers(method)


def test_a_pipeline_checks_for_its_tenant(shipped: RolesAuthorizer) -> None:
    """Role and tenant come from the certificate's path."""
    principal = shipped.authorize(peer("spiffe://ostiary.local/tenant/demo/role/pipeline"), CHECK)
    assert (principal.role, principal.tenant) == ("pipeline", "demo")


@pytest.mark.parametrize("role", ["auditor", "lead-auditor", "compliance-admin", "sre", "console"])
def test_nobody_but_a_pipeline_checks(shipped: RolesAuthorizer, role: str) -> None:
    """An auditor's certificate on Check is refused, and told why."""
    error = refusal(shipped, f"spiffe://ostiary.local/tenant/demo/role/{role}", CHECK)
    assert error.reason is Reason.PERMISSION_DENIED
    assert f"role {role} may not call ModerationService/Check" in error.message.replace("The ", "")


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
def test_who_may_what(shipped: RolesAuthorizer, role: str, method: str, allowed: bool) -> None:
    """Each shipped role has what it needs and no more."""
    id_ = f"spiffe://ostiary.local/tenant/demo/role/{role}"
    if allowed:
        assert shipped.authorize(peer(id_), method).role == role
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
def test_who_is_not_bound_is_refused(shipped: RolesAuthorizer, id_: str) -> None:
    """Neither a neighbouring path, nor a part of one, nor another trust domain has a role."""
    assert "has no role" in refusal(shipped, id_, CHECK).message


def test_a_prefix_holds_below_itself(shipped: RolesAuthorizer) -> None:
    """Instances of a pipeline may have IDs of their own below it."""
    principal = shipped.authorize(peer("spiffe://ostiary.local/tenant/demo/role/pipeline/batch-3"), CHECK)
    assert principal.tenant == "demo"


def test_an_exact_id_wins_over_a_prefix() -> None:
    """The more specific binding decides, wherever it stands; its own tenant holds."""
    roles = authorizer.load(GOOD)
    principal = roles.principal(SpiffeId.parse("spiffe://a.test/tenant/one/role/pipeline"))
    assert principal is not None
    assert (principal.role, principal.tenant) == ("auditor", "exact")


_SEGMENT = st.from_regex(r"[a-z]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)


@given(path=st.lists(st.one_of(st.sampled_from(["tenant", "role", "pipeline", "one"]), _SEGMENT), min_size=1))
def test_default_deny(path: list[str]) -> None:
    """Whatever the ID, a role is only ever had by the very segments of a binding."""
    bound = len(path) >= 4 and (path[0], path[2], path[3]) == ("tenant", "role", "pipeline")
    principal = authorizer.load(GOOD).principal(SpiffeId.parse("spiffe://a.test/" + "/".join(path)))
    assert (principal is not None) == bound


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
    ],
)
def test_bad_roles_are_refused_in_words(old: str, new: str, words: str) -> None:
    """Each mistake is named with its place, and nothing of the file is applied."""
    authorizer.load(GOOD)
    with pytest.raises(ValueError, match=words):
        authorizer.load(GOOD.replace(old, new))


def test_roles_follow_the_file_and_keep_the_last_good(tmp_path: Path) -> None:
    """A change takes effect within a second; a bad one changes nothing."""
    now = [0.0]
    path = tmp_path / "roles.yaml"
    path.write_text(GOOD, encoding="utf-8")
    roles = RolesAuthorizer(path, clock=lambda: now[0])
    caller = peer("spiffe://a.test/tenant/two/role/pipeline")
    roles.authorize(caller, CHECK)

    path.write_text("roles: [", encoding="utf-8")
    now[0] = 1.0
    roles.authorize(caller, CHECK)

    path.write_text(GOOD.replace("ModerationService/Check", "ModerationService/GetCheck"), encoding="utf-8")
    now[0] = 2.0
    with pytest.raises(OstiaryError):
        roles.authorize(caller, CHECK)
    assert not roles.covers(CHECK)
