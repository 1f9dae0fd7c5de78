"""Statements of reasons (Regulation (EU) 2022/2065, Article 17) in the Transparency Database's schema.

One for each case whose verdict is BLOCK today, of a listing that is offered in the European Economic Area.
They are published: nothing in them names sellers, quotes listings or gives away words of rules.
"""

import json
from collections.abc import Sequence
from datetime import UTC
from typing import Any

from ostiary.v1.decision_pb2 import ACTION_BLOCK, ACTION_REVIEW, VERDICT_BLOCK, Finding
from ostiary_gateway.review.cases import Case
from ostiary_gateway.review.standing import RULED

# Member states of the European Economic Area, as the database names them.
EEA = (
    *("AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU", "IE", "IS", "IT"),
    *("LI", "LT", "LU", "LV", "MT", "NL", "NO", "PL", "PT", "RO", "SE", "SI", "SK"),
)
_NOT_EU = frozenset({"IS", "LI", "NO"})
_EU = tuple(country for country in EEA if country not in _NOT_EU)
_MOST_EXPLANATION, _MOST_FACTS, _MOST_GROUND = 2000, 5000, 500

_TERMS = "STATEMENT_CATEGORY_OTHER_VIOLATION_TC"
_CONSUMERS = "STATEMENT_CATEGORY_CONSUMER_INFORMATION"
_MISLEADING = "KEYWORD_MISLEADING_INFO_GOODS_SERVICES"
_OTHER = "KEYWORD_OTHER"
# By policy and label, or by policy alone: category and keyword.
_CATEGORIES: dict[tuple[str, str], tuple[str, str]] = {
    ("logo_infringement", ""): (
        "STATEMENT_CATEGORY_INTELLECTUAL_PROPERTY_INFRINGEMENTS",
        "KEYWORD_TRADEMARK_INFRINGEMENT",
    ),
    ("nudity", ""): (_TERMS, "KEYWORD_NUDITY"),
    ("listing_accuracy", ""): (_CONSUMERS, _MISLEADING),
    ("prohibited_ads", "absolute_claim"): (_CONSUMERS, _MISLEADING),
    ("prohibited_ads", "medical_claim"): (_CONSUMERS, _MISLEADING),
    ("prohibited_ads", "prohibited_goods"): (
        "STATEMENT_CATEGORY_UNSAFE_AND_PROHIBITED_PRODUCTS",
        "KEYWORD_PROHIBITED_PRODUCTS",
    ),
}


class StatementEncoder:
    """One JSON object a line, as the database's API takes them."""

    def head(self) -> bytes:
        """Nothing."""
        return b""

    def cases(self, page: Sequence[Case], now_us: int) -> bytes:
        """A line for each case that calls for a statement."""
        found = (statement(case) for case in page)
        lines = [json.dumps(each, ensure_ascii=False, separators=(",", ":")) for each in found if each]
        return "".join(f"{line}\n" for line in lines).encode()

    def tail(self) -> bytes:
        """Nothing."""
        return b""


def statement(case: Case) -> dict[str, Any] | None:
    """The statement on a case; None where none is called for."""
    scope = territories(case.record.listing.territory)
    if case.standing.verdict != VERDICT_BLOCK or not scope:
        return None
    asking = _asking(case)
    date = _date(case)
    by_person = any(event.record.kind == RULED for event in case.events)
    return {
        "decision_visibility": ["DECISION_VISIBILITY_CONTENT_DISABLED"],
        **_ground(asking, _person_said(case)),
        **_category(asking),
        "content_type": _content_types(asking),
        "content_date": date,
        "application_date": date,
        "territorial_scope": list(scope),
        "decision_facts": _cut(_facts(asking, date, by_person=by_person), _MOST_FACTS),
        "source_type": "SOURCE_VOLUNTARY",
        "automated_detection": "Yes",
        "automated_decision": f"AUTOMATED_DECISION_{'PARTIALLY' if by_person else 'FULLY'}",
        "puid": case.record.check_id,
    }


def territories(listed: str) -> tuple[str, ...]:
    """Where a decision holds, of the European Economic Area: all of it where the listing names nothing."""
    if not listed:
        return EEA
    if listed == "EU":
        return _EU
    return (listed,) if listed in EEA else ()


def _asking(case: Case) -> list[Finding]:
    """The findings that ask for a block, the gravest first; where none does, those that ask for review."""
    found = sorted(case.response.findings, key=lambda each: (-each.action, -each.score))
    blocking = [each for each in found if each.action == ACTION_BLOCK]
    return blocking or [each for each in found if each.action == ACTION_REVIEW] or found


def _person_said(case: Case) -> str:
    """What whoever ruled last told the seller."""
    rulings = [event.record.ruling for event in case.events if event.record.kind == RULED]
    return rulings[-1].seller_reason if rulings else ""


def _ground(asking: Sequence[Finding], said: str) -> dict[str, str]:
    """Illegal where a rule with a statute asks for it; against the platform's terms otherwise."""
    words = said or " ".join(dict.fromkeys(each.seller_reason for each in asking if each.seller_reason))
    explanation = _cut(words or "The listing does not meet the platform's rules.", _MOST_EXPLANATION)
    articles = list(dict.fromkeys(each.evidence.rule.article for each in asking if _statute(each)))
    if articles:
        return {
            "decision_ground": "DECISION_GROUND_ILLEGAL_CONTENT",
            "illegal_content_legal_ground": _cut("; ".join(articles), _MOST_GROUND),
            "illegal_content_explanation": explanation,
        }
    labels = list(dict.fromkeys(f"{each.policy}/{each.label}" for each in asking))
    return {
        "decision_ground": "DECISION_GROUND_INCOMPATIBLE_CONTENT",
        "incompatible_content_ground": _cut(", ".join(labels) or "listing rules", _MOST_GROUND),
        "incompatible_content_explanation": explanation,
        "incompatible_content_illegal": "No",
    }


def _statute(found: Finding) -> bool:
    """Whether the law that the rule names is of the European Union or of one of its states."""
    rule = found.evidence.rule
    return bool(rule.article) and (rule.jurisdiction == "EU" or rule.jurisdiction in EEA)


def _category(asking: Sequence[Finding]) -> dict[str, Any]:
    found = list(dict.fromkeys(_classified(each.policy, each.label) for each in asking)) or [(_TERMS, _OTHER)]
    categories = list(dict.fromkeys(category for category, _ in found))
    keywords = list(dict.fromkeys(keyword for _, keyword in found))
    told: dict[str, Any] = {"category": categories[0], "category_specification": keywords}
    if categories[1:]:
        told["category_addition"] = categories[1:]
    if _OTHER in keywords:
        others = [each for each in asking if _classified(each.policy, each.label)[1] == _OTHER]
        labels = dict.fromkeys(f"{each.policy}/{each.label}" for each in others)
        told["category_specification_other"] = _cut(", ".join(labels) or "listing rules", _MOST_GROUND)
    return told


def _classified(policy: str, label: str) -> tuple[str, str]:
    return _CATEGORIES.get((policy, label)) or _CATEGORIES.get((policy, "")) or (_TERMS, _OTHER)


def _content_types(asking: Sequence[Finding]) -> list[str]:
    kinds = {"CONTENT_TYPE_PRODUCT"}
    kinds |= {"CONTENT_TYPE_TEXT" if each.source == "text" else "CONTENT_TYPE_IMAGE" for each in asking}
    return sorted(kinds)


def _facts(asking: Sequence[Finding], date: str, *, by_person: bool) -> str:
    labels = ", ".join(dict.fromkeys(f"{each.policy}/{each.label}" for each in asking))
    found = f" It found: {labels}." if labels else ""
    decided = "A person then decided." if by_person else "The decision followed from it without a person."
    return (
        f"On {date} an automated examination looked at the images and the text of a product listing before "
        f"it was published, on the platform's own initiative.{found} {decided}"
    )


def _date(case: Case) -> str:
    receipt = case.response.receipt
    at = receipt.decided_at if receipt.HasField("decided_at") else case.record.recorded_at
    return at.ToDatetime(UTC).date().isoformat()


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
