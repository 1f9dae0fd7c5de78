"""Turns what a case is found by, and where it stands, into rows and back. Pure."""

from functools import lru_cache
from typing import Any

from sqlalchemy import Row

from ostiary.v1.decision_pb2 import Verdict
from ostiary_gateway.policy.decide import GRAVITY
from ostiary_gateway.review.standing import Standing, first_standing, first_state
from ostiary_gateway.review.summary import Traits

LABEL, BRAND = "label", "brand"


def case_row(log_index: int, tenant: str, traits: Traits) -> dict[str, Any]:
    """The case's row."""
    return {
        "log_index": log_index,
        "tenant": tenant,
        "decided_us": traits.decided_us,
        "verdict": traits.verdict,
        "state": first_state(traits.verdict),
        "seller": traits.seller,
        "policy": traits.policy,
        "bundle_digest": traits.bundle_digest,
        "score": traits.score,
        "text": traits.text,
    }


def term_rows(log_index: int, traits: Traits) -> list[dict[str, Any]]:
    """A row for each of its labels and brands."""
    terms = [*((LABEL, label) for label in traits.labels), *((BRAND, brand) for brand in traits.brands)]
    return [{"kind": kind, "value": value, "log_index": log_index} for kind, value in terms]


def standing_columns(standing: Standing) -> dict[str, Any]:
    """The columns that say where a case stands."""
    gravity = GRAVITY.index(standing.verdict) if standing.verdict in GRAVITY else 0
    return {**vars(standing), "gravity": gravity}


def first_columns(verdict: Verdict.ValueType, log_index: int) -> dict[str, Any]:
    """The columns of a case that nobody has touched."""
    return {**_first_columns(verdict), "version": log_index}


@lru_cache
def _first_columns(verdict: Verdict.ValueType) -> dict[str, Any]:
    return standing_columns(first_standing(verdict, 0))


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
