"""What a listing claims, against what was seen of the product.

A contradiction is a sighting of the policy `listing_accuracy`; its score says how certain the pod is of what
it saw. There is none wherever that cannot be known: words and values outside the vocabulary, a bundle that
could not have answered what is claimed.
"""

from collections.abc import Iterator, Sequence

from ostiary.v1.decision_pb2 import Contradiction, Evidence
from ostiary.v1.listing_pb2 import Listing
from ostiary.v1.observation_pb2 import Attribute, Observations
from ostiary_gateway.brands.in_force import Brands
from ostiary_gateway.policy.sighting import Sighting
from ostiary_gateway.policy.vocabulary import Claim, Lexicon, Words
from ostiary_gateway.policy.words import seller_reason

POLICY = "listing_accuracy"
LABELS = {
    "category": "contradicted_category",
    "colour": "contradicted_colour",
    "brand": "contradicted_brand",
}
_SOURCE = "vlm"


def judged(seen: Observations) -> bool:
    """Whether there is anything that claims could be compared with, or nothing could be read at all."""
    return bool(seen.attributes or seen.brands) or not seen.images


def from_claims(listing: Listing, seen: Observations, words: Words) -> list[Sighting]:
    """One sighting per claim of the listing that speaks against what was seen."""
    claims = (
        ("category", words.claimed_category(listing), words.categories),
        ("colour", words.claimed_colour(listing), words.colours),
    )
    return [
        _sighting(about, claim, value)
        for about, claim, lexicon in claims
        if claim
        for value in _against(claim, lexicon, _value(about, seen.attributes), _choices(about, seen))
    ]


def from_brands(listing: Listing, seen: Observations, brands: Brands) -> list[Sighting]:
    """One for the surest brand seen, where the listing claims one that the registries know, and it is not
    seen.
    """
    mentions = brands.words.mentions(listing.claimed_brand)
    claimed = {brands.by_reference[mention.reference_id].brand.id for mention in mentions}
    candidates = [candidate for candidate in seen.brands if candidate.brand in brands.by_id]
    if not claimed or not candidates or any(candidate.brand in claimed for candidate in candidates):
        return []
    surest = max(candidates, key=lambda candidate: candidate.score)
    name = brands.by_id[surest.brand].name
    return [
        Sighting(
            policy=POLICY,
            label=LABELS["brand"],
            score=surest.score,
            source="ocr" if surest.kind == "word" else "logo",
            question="claimed_brand",
            evidence=Evidence(
                brand=surest,
                contradiction=Contradiction(
                    about="brand",
                    field="claimed_brand",
                    claimed=listing.claimed_brand,
                    seen=surest.brand,
                    confidence=surest.score,
                ),
            ),
            regions=(surest.region,),
            internal=f"the listing's claimed_brand claims {listing.claimed_brand!r}; "
            f"the brand seen is {name} ({surest.score:.4f})",
            seller=seller_reason(POLICY, LABELS["brand"]),
        )
    ]


def _value(about: str, attributes: Sequence[Attribute]) -> Attribute | None:
    return next((attribute for attribute in attributes if attribute.name == about), None)


def _choices(about: str, seen: Observations) -> frozenset[str]:
    return frozenset(value for each in seen.choices if each.name == about for value in each.values)


def _against(
    claim: Claim, lexicon: Lexicon, seen: Attribute | None, choices: frozenset[str]
) -> Iterator[Attribute]:
    """`seen`, where it speaks against the claim."""
    agreeing = lexicon.agreeing(claim.terms)
    if seen is None or agreeing is None or seen.value not in lexicon.values:
        return
    # A bundle that has no word for what is claimed calls it by the next best one.
    if agreeing & choices and seen.value not in agreeing:
        yield seen


def _sighting(about: str, claim: Claim, seen: Attribute) -> Sighting:
    claimed = ", ".join(claim.words)
    return Sighting(
        policy=POLICY,
        label=LABELS[about],
        score=seen.confidence,
        source=_SOURCE,
        question=f"claimed_{about}",
        evidence=Evidence(
            contradiction=Contradiction(
                about=about, field=claim.field, claimed=claimed, seen=seen.value, confidence=seen.confidence
            )
        ),
        regions=(),
        internal=f"the listing's {claim.field} claims {claimed!r}; "
        f"the {about} seen is {seen.value} ({seen.confidence:.4f})",
        seller=seller_reason(POLICY, LABELS[about]),
    )
