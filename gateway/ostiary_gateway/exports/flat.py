"""A case as one line of a table. Pure."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from ostiary.v1.audit_pb2 import CaseState
from ostiary.v1.decision_pb2 import Verdict
from ostiary_gateway.review.cases import Case
from ostiary_gateway.review.summary import Traits, traits_of

_BETWEEN = "; "
_Column = tuple[str, type, Callable[[Case, Traits, int], Any]]


def _verdict(verdict: Verdict.ValueType) -> str:
    return Verdict.Name(verdict).removeprefix("VERDICT_")


def _reasons(texts: Iterable[str]) -> str:
    return _BETWEEN.join(dict.fromkeys(text for text in texts if text))


def _state(case: Case, now_us: int) -> str:
    return CaseState.Name(case.standing.state_at(now_us)).removeprefix("CASE_STATE_")


def _listing(name: str) -> _Column:
    return name, str, lambda case, found, now_us: getattr(case.record.listing, name)


# Name, type and value of each column, in their order. `standing_verdict` is the one that counts today.
_COLUMNS: tuple[_Column, ...] = (
    ("check_id", str, lambda case, found, now_us: case.record.check_id),
    (
        "decided_at",
        datetime,
        lambda case, found, now_us: datetime.fromtimestamp(found.decided_us / 1_000_000, UTC),
    ),
    ("verdict", str, lambda case, found, now_us: _verdict(found.verdict)),
    ("standing_verdict", str, lambda case, found, now_us: _verdict(case.standing.verdict)),
    ("state", str, lambda case, found, now_us: _state(case, now_us)),
    ("score", float, lambda case, found, now_us: found.score),
    ("labels", str, lambda case, found, now_us: _BETWEEN.join(found.labels)),
    ("brands", str, lambda case, found, now_us: _BETWEEN.join(found.brands)),
    _listing("seller"),
    _listing("listing_id"),
    _listing("category"),
    _listing("territory"),
    _listing("title"),
    (
        "internal_reasons",
        str,
        lambda case, found, now_us: _reasons(each.internal_reason for each in case.response.findings),
    ),
    (
        "seller_reasons",
        str,
        lambda case, found, now_us: _reasons(each.seller_reason for each in case.response.findings),
    ),
    (
        "hold_reasons",
        str,
        lambda case, found, now_us: _reasons(
            f"{each.code}: {each.detail}" for each in case.response.hold_reasons
        ),
    ),
    ("policy", str, lambda case, found, now_us: found.policy),
    ("policy_sha256", str, lambda case, found, now_us: case.response.receipt.policy_sha256.hex()),
    ("bundle", str, lambda case, found, now_us: _bundle(case)),
    ("bundle_digest", str, lambda case, found, now_us: found.bundle_digest.hex()),
    ("caller", str, lambda case, found, now_us: case.record.caller),
    ("log_index", int, lambda case, found, now_us: case.response.receipt.log_index),
    ("leaf_hash", str, lambda case, found, now_us: case.response.receipt.leaf_hash.hex()),
)


def _bundle(case: Case) -> str:
    bundle = case.response.receipt.bundle
    return f"{bundle.name}@{bundle.version}" if bundle.name else ""


def columns() -> list[tuple[str, type]]:
    """Names and types of the columns: str, int, float or datetime (aware)."""
    return [(name, kind) for name, kind, _ in _COLUMNS]


def row(case: Case, now_us: int) -> list[Any]:
    """The case's values, in the order of the columns, as it stands at a time: microseconds since 1970."""
    found = traits_of(case.record)
    return [value(case, found, now_us) for _, _, value in _COLUMNS]
