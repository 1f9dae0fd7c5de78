"""Authorization policies in gRPC's own format (gRFC A43, A59)."""

import json
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostiary.wire.errors import OstiaryError
from ostiary.wire.identity import Peer, SpiffeId
from ostiary_gateway.rbac import a43
from ostiary_gateway.rbac.audit import StdoutAuditLogger
from ostiary_gateway.rbac.authorizer import FileAuthorizer
from ostiary_gateway.rbac.rules import Asked, Condition, Header, Pattern, Policy, Rule

CHECK = "/ostiary.v1.ModerationService/Check"
POLICY: dict[str, Any] = {
    "name": "shop",
    "deny_rules": [
        {"name": "dev", "request": {"headers": [{"key": "X-Stage", "values": ["dev*", "test"]}]}},
    ],
    "allow_rules": [
        {
            "name": "pipelines",
            "source": {"principals": ["spiffe://a.test/tenant/*", "*/admin"]},
            "request": {"paths": ["/ostiary.v1.ModerationService/*"]},
        },
        {"name": "anybody", "request": {"paths": ["*/GetCheckpoint"]}},
    ],
}


def asked(principal: str, path: str = CHECK, **metadata: str) -> Asked:
    return Asked(principal, "", "", path, {key.replace("_", "-"): value for key, value in metadata.items()})


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        pytest.param(asked("spiffe://a.test/tenant/x"), (True, "pipelines"), id="prefix"),
        pytest.param(asked("spiffe://b.test/admin"), (True, "pipelines"), id="suffix"),
        pytest.param(asked("spiffe://a.test/other"), (False, ""), id="no rule"),
        pytest.param(
            asked("spiffe://a.test/tenant/x", "/ostiary.v1.AuditService/GetCase"), (False, ""), id="path"
        ),
        pytest.param(
            asked("spiffe://a.test/other", "/ostiary.v1.AuditService/GetCheckpoint"),
            (True, "anybody"),
            id="no source is everybody",
        ),
        pytest.param(
            asked("spiffe://a.test/tenant/x", x_stage="development"), (False, "dev"), id="deny first"
        ),
        pytest.param(asked("spiffe://a.test/tenant/x", x_stage="test"), (False, "dev"), id="second value"),
        pytest.param(asked("spiffe://a.test/tenant/x", x_stage="tests"), (True, "pipelines"), id="not exact"),
    ],
)
def test_deny_first_then_allow_else_deny(call: Asked, expected: tuple[bool, str]) -> None:
    """The order and the matching of the RFC, and the rule that decided."""
    decision = a43.load(json.dumps(POLICY)).decide(call)
    assert (decision.allowed, decision.rule) == expected


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        pytest.param({"allow_rules": []}, "allow_rules", id="no allow rule is not allow all"),
        pytest.param({"name": ""}, "name", id="no name"),
        pytest.param({"extra": 1}, "extra", id="unknown field"),
        pytest.param({"allow_rules": [{"name": "a", "sources": {}}]}, "allow_rules.0.sources", id="misspelt"),
        pytest.param({"allow_rules": [{"name": "a"}, {"name": "a"}]}, "two rules are called 'a'", id="twice"),
        pytest.param(
            {"allow_rules": [{"name": "a", "source": {"principals": [""]}}]},
            r"allow_rules\[0\].source.principals\[0\]: empty",
            id="the empty principal",
        ),
        pytest.param(
            {"allow_rules": [{"name": "a", "source": {"principals": ["client.test.com"]}}]},
            "only SPIFFE IDs",
            id="a DNS name",
        ),
        pytest.param(
            {"allow_rules": [{"name": "a", "source": {"principals": ["spiffe://a/*/b"]}}]},
            r"a \* stands at the beginning or at the end",
            id="a star in the middle",
        ),
        pytest.param(
            {"allow_rules": [{"name": "a", "request": {"paths": ["ostiary.v1.ModerationService/Check"]}}]},
            "begins with a slash",
            id="a path without a slash",
        ),
        *(
            pytest.param(
                {"allow_rules": [{"name": "a", "request": {"headers": [{"key": key, "values": ["x"]}]}}]},
                "belongs to HTTP or gRPC",
                id=f"header {key}",
            )
            for key in (":method", "grpc-timeout", "Host", "TE", "Connection", "token-bin")
        ),
        pytest.param(
            {"allow_rules": [{"name": "a", "request": {"headers": [{"key": "k", "values": []}]}}]},
            "values",
            id="a header without values",
        ),
        pytest.param(
            {"audit_logging_options": {"audit_condition": "ON_DENY", "audit_loggers": [{"name": "kafka"}]}},
            "there is no logger 'kafka'",
            id="a logger that is not there",
        ),
        pytest.param(
            {"audit_logging_options": {"audit_condition": "SOMETIMES"}}, "audit_condition", id="when"
        ),
    ],
)
def test_bad_policies_are_refused_in_words(changed: dict[str, Any], words: str) -> None:
    """Each mistake is named with its place."""
    with pytest.raises(ValueError, match=words):
        a43.load(json.dumps({**POLICY, **changed}))


_TEXT = st.text("abc", max_size=3)
_PATTERN = st.builds(
    Pattern.parse,
    st.one_of(_TEXT.map("/{}".format), _TEXT.map("/{}*".format), st.just("*"), _TEXT.map("*/{}".format)),
)
_ID = st.builds(Pattern.parse, st.one_of(_TEXT.map("spiffe://a/{}*".format), _TEXT.map("*{}".format)))
_RULES = st.lists(
    st.builds(
        Rule,
        name=st.uuids().map(str),
        principals=st.lists(_ID, max_size=2).map(tuple),
        paths=st.lists(_PATTERN, max_size=2).map(tuple),
        headers=st.lists(
            st.builds(
                Header, st.sampled_from(["k", "l"]), st.lists(_PATTERN, min_size=1, max_size=2).map(tuple)
            ),
            max_size=1,
        ).map(tuple),
    ),
    max_size=3,
).map(tuple)


@given(
    st.builds(
        Policy,
        name=st.just("p"),
        deny=_RULES,
        allow=_RULES.filter(bool),
        audit=st.sampled_from(Condition),
    )
)
def test_what_is_written_is_read_back(policy: Policy) -> None:
    """A policy survives its JSON."""
    assert a43.load(json.dumps(a43.dump(policy))) == policy


def test_a_gateway_takes_a_policy_in_place_of_roles(tmp_path: Path) -> None:
    """Role and tenant are then those that the certificate's path says, as `ostiary pki` issues it."""
    path = tmp_path / "policy.json"
    path.write_text(json.dumps(POLICY), encoding="utf-8")
    authorizer = FileAuthorizer(path)
    principal = authorizer.authorize(_peer("spiffe://a.test/tenant/x/role/pipeline"), CHECK, {})
    assert (principal.role, principal.tenant) == ("pipeline", "x")
    with pytest.raises(OstiaryError, match="rule dev keeps"):
        authorizer.authorize(_peer("spiffe://a.test/tenant/x/role/pipeline"), CHECK, {"x-stage": "dev"})
    with pytest.raises(OstiaryError, match="may not call ModerationService/Check"):
        authorizer.authorize(_peer("spiffe://a.test/role/sre"), CHECK, {})


@pytest.mark.parametrize(
    ("condition", "recorded"),
    [("NONE", []), ("ON_DENY", [False]), ("ON_ALLOW", [True]), ("ON_DENY_AND_ALLOW", [True, False])],
)
def test_decisions_are_recorded_as_asked(tmp_path: Path, condition: str, recorded: list[bool]) -> None:
    """One line of JSON for each decision that the policy wants recorded, in gRPC's own form."""
    options = {"audit_condition": condition, "audit_loggers": [{"name": "stdout_logger"}]}
    path = tmp_path / "policy.json"
    path.write_text(json.dumps({**POLICY, "audit_logging_options": options}), encoding="utf-8")
    out = StringIO()
    logger = StdoutAuditLogger(out, now=lambda: datetime(2026, 1, 2, tzinfo=UTC))
    authorizer = FileAuthorizer(path, audit=logger)
    authorizer.authorize(_peer("spiffe://a.test/tenant/x"), CHECK, {})
    with pytest.raises(OstiaryError):
        authorizer.authorize(_peer("spiffe://b.test/x"), CHECK, {})
    events = [json.loads(line)["grpc_audit_log"] for line in out.getvalue().splitlines()]
    assert [event["authorized"] for event in events] == recorded
    if recorded == [True, False]:
        assert events[0] == {
            "timestamp": "2026-01-02T00:00:00+00:00",
            "rpc_method": CHECK,
            "principal": "spiffe://a.test/tenant/x",
            "policy_name": "shop",
            "matched_rule": "pipelines",
            "authorized": True,
        }


def _peer(id_: str) -> Peer:
    return Peer(SpiffeId.parse(id_), 1, datetime.now(UTC), "00")
