"""Turns what a case is found by, and where it stands, into rows and back. Pure."""

from functools import lru_cache
from typing import Any

from sqlalchemy import Row

from ostiary.v1.decision_pb2 import Verdict
from ostiary_gateway.policy.decide import GRAVITY
from ostiary_gateway.review.standing import Standing, first_state
from ostiary_gateway.review.summary import Traits

LABEL, BRAND = "label", "brand"
# Columns in the order in which the rows below hold them.
TRAITS_ROW = (
    "log_index",
    "tenant",
    "decided_us",
    "verdict",
    "state",
    "seller",
    "policy",
    "bundle_digest",
    "score",
    "text",
)
# Where the case of a decision stands that nobody has touched: all else of it is as by default.
CASE_ROW = (*TRAITS_ROW, "version", "gravity")
TERM_ROW = ("kind", "value", "log_index")


def traits_row(log_index: int, tenant: str, traits: Traits) -> tuple[Any, ...]:
    """What the case is found by, a `TRAITS_ROW`."""
    seller, verdict, policy, bundle_digest, score, decided_us, _, _, text = traits
    state, _ = _first(verdict)
    return log_index, tenant, decided_us, verdict, state, seller, policy, bundle_digest, score, text


def case_row(log_index: int, tenant: str, traits: Traits) -> tuple[Any, ...]:
    """The row of a case that nobody has touched, a `CASE_ROW`."""
    return (*traits_row(log_index, tenant, traits), log_index, _first(traits.verdict)[1])


def term_rows(log_index: int, traits: Traits) -> list[tuple[str, str, int]]:
    """A `TERM_ROW` for each of its labels and brands."""
    labels = [(LABEL, label, log_index) for label in traits.labels]
    return labels + [(BRAND, brand, log_index) for brand in traits.brands]


def standing_columns(standing: Standing) -> dict[str, Any]:
    """The columns that say where a case stands."""
    return {**vars(standing), "gravity": _gravity(standing.verdict)}


def _gravity(verdict: Verdict.ValueType) -> int:
    return GRAVITY.index(verdict) if verdict in GRAVITY else 0


@lru_cache
def _first(verdict: Verdict.ValueType) -> tuple[int, int]:
    """State and gravity of a case that nobody has touched."""
    return first_state(verdict), _gravity(verdict)


def standing_of(row: Row[*tuple[Any, ...]]) -> Standing:
    """Where the case of a row of `cases` stands."""
    return Standing(
        verdict=row.verdict,
        state=row.state,
        version=row.version,
        claimed_by=row.claimed_by,
        lease_until_us=row.lease_until_us,
        next=row.next,
        ruled_by=row.ruled_by,
        ruling=row.ruling,
        held=bool(row.held),
    )
