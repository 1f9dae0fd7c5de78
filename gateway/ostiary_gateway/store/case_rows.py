"""Turns what a case is found by into rows. Pure."""

from typing import Any

from ostiary_gateway.review.summary import Traits, first_state

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
