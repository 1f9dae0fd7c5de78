"""What `ostiary brands test` asks the policy core."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ostiary.v1.decision_pb2 import Action, Finding
from ostiary.v1.listing_pb2 import Listing
from ostiary.v1.observation_pb2 import BrandCandidate, Observations
from ostiary_gateway.brands.in_force import POLICY, Brands
from ostiary_gateway.policy import brand_marks
from ostiary_gateway.policy.in_force import PolicyInForce
from ostiary_gateway.policy.steps import Circumstances, finding


@dataclass(frozen=True, slots=True)
class Listed:
    """A listing, and what is read (`words`) and seen (`marks`, by reference id) in its image."""

    words: Sequence[str]
    marks: Sequence[str]
    title: str
    claimed_brand: str
    seller: str
    category: str
    territory: str


def trial(listed: Listed, at: datetime, policy: PolicyInForce) -> list[dict[str, Any]]:
    """What would be found, the gravest first; `at` is an aware time.

    Raises:
        ValueError: a mark is in no registry, or the policy does not judge brands.
    """
    rule = policy.rule(POLICY)
    if rule is None:
        raise ValueError(f"{policy.label} does not judge {POLICY}: add it to its policies")
    seen = Observations(brands=_candidates(listed, policy.brands))
    listing = Listing(
        title=listed.title,
        claimed_brand=listed.claimed_brand,
        seller=listed.seller,
        category=listed.category,
    )
    territory = listed.territory or policy.message.default_territory
    sightings = brand_marks.sightings(policy.brands, listing, seen, territory, at)
    circumstances = Circumstances(categories=policy.words.categories_of(listing))
    found = [made for sighting in sightings if (made := finding(sighting, rule, circumstances))]
    return [_told(each) for each in sorted(found, key=lambda each: -each.action)]


def _candidates(listed: Listed, brands: Brands) -> Iterator[BrandCandidate]:
    for word in listed.words:
        for mention in brands.words.mentions(word):
            owner = brands.by_reference[mention.reference_id].brand.id
            yield BrandCandidate(
                brand=owner, reference_id=mention.reference_id, score=1.0, kind=brand_marks.WORD
            )
    for mark in listed.marks:
        if mark not in brands.by_reference:
            raise ValueError(f"there is no mark {mark!r} in the registries: `ostiary brands list` names them")
        owner = brands.by_reference[mark].brand.id
        yield BrandCandidate(brand=owner, reference_id=mark, score=1.0, kind="figurative")


def _told(found: Finding) -> dict[str, Any]:
    return {
        "policy": found.policy,
        "label": found.label,
        "action": Action.Name(found.action).removeprefix("ACTION_"),
        "source": found.source,
        "brand": found.evidence.brand.brand,
        "reference_id": found.evidence.brand.reference_id,
        "matched_text": found.evidence.rule.matched_text,
        "reason": found.internal_reason,
        "seller_reason": found.seller_reason,
    }
