"""Authorization policies as gRPC writes them: the JSON of gRFC A43, with the audit options of gRFC A59.

Stricter than the RFC where its laxity lets somebody in: principals are SPIFFE IDs and nothing else of a
certificate, an empty principal is refused (it would mean a caller without a certificate, and there is none),
and a policy without allow rules is no policy.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ostiary_gateway import strict_yaml
from ostiary_gateway.rbac.rules import Condition, Header, Pattern, Policy, Rule

STDOUT_LOGGER = "stdout_logger"
_MODEL = ConfigDict(extra="forbid", frozen=True, strict=True)
# Of HTTP, of connections, or of gRPC itself: no rule may rest on them (gRFC A43).
_FORBIDDEN_KEYS = frozenset(
    {"host", "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer",
     "transfer-encoding", "upgrade"}
)  # fmt: skip
_CONDITIONS = {
    "NONE": Condition.NEVER,
    "ON_DENY": Condition.ON_DENY,
    "ON_ALLOW": Condition.ON_ALLOW,
    "ON_DENY_AND_ALLOW": Condition.ALWAYS,
}


class _Header(BaseModel):
    model_config = _MODEL

    key: Annotated[str, Field(min_length=1)]
    values: Annotated[list[str], Field(min_length=1)]


class _Source(BaseModel):
    model_config = _MODEL

    principals: list[str] = []


class _Request(BaseModel):
    model_config = _MODEL

    paths: list[str] = []
    headers: list[_Header] = []


class _Rule(BaseModel):
    model_config = _MODEL

    name: Annotated[str, Field(min_length=1)]
    source: _Source = _Source()
    request: _Request = _Request()


class _Logger(BaseModel):
    model_config = _MODEL

    name: Annotated[str, Field(min_length=1)]
    config: dict[str, Any] = {}
    is_optional: bool = False


class _Audit(BaseModel):
    model_config = _MODEL

    audit_condition: Literal["NONE", "ON_DENY", "ON_ALLOW", "ON_DENY_AND_ALLOW"] = "NONE"
    audit_loggers: list[_Logger] = []


class _Document(BaseModel):
    model_config = _MODEL

    name: Annotated[str, Field(min_length=1)]
    deny_rules: list[_Rule] = []
    allow_rules: Annotated[list[_Rule], Field(min_length=1)]
    audit_logging_options: _Audit = _Audit()


def load(text: str) -> Policy:
    """The policy written in `text`.

    Raises:
        ValueError: in words: what is wrong where.
    """
    return of(strict_yaml.parse_mapping(text))


def of(written: dict[str, Any]) -> Policy:
    """The policy in a document. Raises ValueError as `load`."""
    document = strict_yaml.fit(written, _Document)
    check_names("", (rule.name for rule in document.deny_rules + document.allow_rules))
    return Policy(
        name=document.name,
        deny=tuple(_rules("deny_rules", document.deny_rules)),
        allow=tuple(_rules("allow_rules", document.allow_rules)),
        audit=_audit(document.audit_logging_options),
    )


def dump(policy: Policy) -> dict[str, Any]:
    """The policy as a JSON document.

    Raises:
        ValueError: a rule asks for a role or a tenant, which this format has no word for.
    """
    beyond = [rule.name for rule in (*policy.deny, *policy.allow) if rule.roles or rule.tenants]
    if beyond:
        raise ValueError(f"rule {beyond[0]}: gRFC A43 knows neither roles nor tenants")
    condition = next(written for written, known in _CONDITIONS.items() if known is policy.audit)
    document: dict[str, Any] = {"name": policy.name}
    if policy.deny:
        document["deny_rules"] = [_dump_rule(rule) for rule in policy.deny]
    document["allow_rules"] = [_dump_rule(rule) for rule in policy.allow]
    if policy.audit is not Condition.NEVER:
        document["audit_logging_options"] = {
            "audit_condition": condition,
            "audit_loggers": [{"name": STDOUT_LOGGER, "config": {}, "is_optional": False}],
        }
    return document


def check_names(where: str, names: Iterable[str]) -> None:
    """Raises ValueError where two rules have one name."""
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ValueError(
            f"{where}two rules are called {twice[0]!r}: records could not tell which one decided"
        )


def check_header(where: str, key: str) -> None:
    """Raises ValueError for metadata that no rule may rest on."""
    lower = key.lower()
    if lower in _FORBIDDEN_KEYS or lower.startswith((":", "grpc-")) or lower.endswith("-bin"):
        raise ValueError(f"{where}: {key!r} belongs to HTTP or gRPC, or is binary; name metadata of your own")


def check_principal(where: str, written: str) -> None:
    """Raises ValueError for a pattern that no SPIFFE ID fits."""
    pattern = Pattern.parse(written)
    if not written:
        raise ValueError(f"{where}: empty; leave principals out where every certificate will do")
    if "*" in pattern.text:
        raise ValueError(f"{where}: {written!r}: a * stands at the beginning or at the end, once")
    begins = "spiffe://".startswith(pattern.text) or pattern.text.startswith("spiffe://")
    if pattern.kind in ("exact", "prefix") and not begins:
        raise ValueError(f"{where}: {written!r}: only SPIFFE IDs name a caller, spiffe://DOMAIN/PATH")


def _rules(where: str, written: Sequence[_Rule]) -> Iterable[Rule]:
    for number, rule in enumerate(written):
        here = f"{where}[{number}]"
        for index, principal in enumerate(rule.source.principals):
            check_principal(f"{here}.source.principals[{index}]", principal)
        for index, path in enumerate(rule.request.paths):
            _check_path(f"{here}.request.paths[{index}]", path)
        for index, header in enumerate(rule.request.headers):
            check_header(f"{here}.request.headers[{index}].key", header.key)
        yield Rule(
            rule.name,
            principals=tuple(map(Pattern.parse, rule.source.principals)),
            paths=tuple(map(Pattern.parse, rule.request.paths)),
            headers=tuple(Header.parse(header.key, header.values) for header in rule.request.headers),
        )


def _check_path(where: str, written: str) -> None:
    pattern = Pattern.parse(written)
    if not written or "*" in pattern.text:
        raise ValueError(f"{where}: {written!r}: write /PACKAGE.SERVICE/METHOD, or with a * at one end")
    if pattern.kind in ("exact", "prefix") and pattern.text and not pattern.text.startswith("/"):
        raise ValueError(f"{where}: {written!r}: a method's path begins with a slash")


def _audit(written: _Audit) -> Condition:
    known = [logger for logger in written.audit_loggers if logger.name == STDOUT_LOGGER]
    for number, logger in enumerate(written.audit_loggers):
        if logger.name != STDOUT_LOGGER and not logger.is_optional:
            raise ValueError(
                f"audit_logging_options.audit_loggers[{number}]: there is no logger {logger.name!r} but "
                f"{STDOUT_LOGGER}; name that one, or set is_optional"
            )
    return _CONDITIONS[written.audit_condition] if known else Condition.NEVER


def _dump_rule(rule: Rule) -> dict[str, Any]:
    document: dict[str, Any] = {"name": rule.name}
    if rule.principals:
        document["source"] = {"principals": [str(pattern) for pattern in rule.principals]}
    request: dict[str, Any] = {}
    if rule.paths:
        request["paths"] = [str(pattern) for pattern in rule.paths]
    if rule.headers:
        request["headers"] = [
            {"key": header.key, "values": [str(pattern) for pattern in header.values]}
            for header in rule.headers
        ]
    if request:
        document["request"] = request
    return document
