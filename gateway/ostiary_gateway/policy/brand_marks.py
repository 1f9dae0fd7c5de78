"""What brand registries add to a decision: whose marks were seen, and whether they may stand there.

A pod says which marks it saw, by brand and reference; the listing's title and claimed brand are read here.
The registries in force say what they mean for this seller, category and territory, at this time.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from ostiary.v1.decision_pb2 import Evidence, RuleEvidence
from ostiary.v1.listing_pb2 import Listing
from ostiary.v1.observation_pb2 import BrandCandidate, DetectorInfo, Observations
from ostiary_gateway.brands.authorising import UNCLEAR, Judgement, Sale, judge
from ostiary_gateway.brands.in_force import POLICY, Brands
from ostiary_gateway.brands.places import category_of
from ostiary_gateway.policy.sighting import Sighting
from ostiary_gateway.policy.words import seller_reason

WORD = "word"
_IN_IMAGE = {WORD: "ocr"}
_LOGO = "logo"


def sightings(
    brands: Brands, listing: Listing, seen: Observations | None, territory: str, at: datetime
) -> list[Sighting]:
    """One per brand, kind of mark and image, and one per brand and text of the listing.

    Args:
        brands: the registries in force.
        listing: its texts, seller and category.
        seen: sound observations; None where no pod answered.
        territory: where it is offered; empty where nobody named a territory.
        at: aware time of the decision.
    """
    sale = Sale(listing.seller, category_of(listing.category), territory, at)
    found = [_in_image(brands, group, sale) for group in _groups(seen.brands if seen else ())]
    found += _in_text(brands, "title", listing.title, sale)
    found += _in_text(brands, "claimed_brand", listing.claimed_brand, sale)
    return found


def comparing(seen: Observations) -> list[DetectorInfo]:
    """The detectors of the pod that compare with galleries."""
    return [detector for detector in seen.detectors if POLICY in detector.policies]


def unsupported(brands: Brands, seen: Observations) -> str:
    """Why the pod cannot look for the registries' marks at all, in words; empty where it can.

    Without a registry, a detector that has nothing to compare with judges nothing; a bundle whose model is
    asked about brands does.
    """
    detectors = comparing(seen)
    if brands.by_name:
        why = "No detector of the pod compares with the marks of brand registries: add `logo` to the bundle"
        return "" if detectors else why
    asked = POLICY in {*(row.policy for row in seen.calibration), *(score.policy for score in seen.scores)}
    why = f"{POLICY} has nothing to compare with: put a brand registry in force"
    return why if detectors and not asked else ""


def unmatched_gallery(brands: Brands, seen: Observations) -> str:
    """Why candidates are not of the registries in force, in words; empty where they are."""
    if not brands.by_name or not comparing(seen) or seen.gallery_digest in brands.believed:
        return ""
    return "the pod does not hold the marks of the registries in force yet: check again in a moment"


def _groups(candidates: Iterable[BrandCandidate]) -> list[list[BrandCandidate]]:
    """Candidates of one brand, kind and image together, the surest first."""
    groups: dict[tuple[str, str, int], list[BrandCandidate]] = {}
    for candidate in candidates:
        key = (candidate.brand, candidate.kind, candidate.region.image_index)
        groups.setdefault(key, []).append(candidate)
    return [sorted(group, key=lambda candidate: -candidate.score) for group in groups.values()]


def _in_image(brands: Brands, group: Sequence[BrandCandidate], sale: Sale) -> Sighting:
    best = group[0]
    judgement = _judged(brands, best, sale)
    return Sighting(
        policy=POLICY,
        label=judgement.label,
        score=best.score,
        source=_IN_IMAGE.get(best.kind, _LOGO),
        question="",
        evidence=Evidence(brand=best),
        regions=tuple(candidate.region for candidate in group),
        internal=f"{_named(brands, best.brand)} on image {best.region.image_index}, like {best.reference_id}"
        f" ({best.kind}, {best.score:.4f}): {judgement.why}",
        seller=seller_reason(POLICY, judgement.label),
    )


def _judged(brands: Brands, candidate: BrandCandidate, sale: Sale) -> Judgement:
    known = brands.by_id.get(candidate.brand)
    if known is None:
        return Judgement(UNCLEAR, "no registry in force knows the brand")
    judgement = judge(known.brand, sale)
    if candidate.reference_id in brands.by_reference:
        return judgement
    return Judgement(judgement.label, f"{judgement.why}; the mark is no longer in the registry")


def _in_text(brands: Brands, field: str, text: str, sale: Sale) -> Iterator[Sighting]:
    named: set[str] = set()
    for mention in brands.words.mentions(text):
        known = brands.by_reference[mention.reference_id]
        if known.brand.id in named:
            continue
        named.add(known.brand.id)
        judgement = judge(known.brand, sale)
        quoted = text[mention.start : mention.end]
        candidate = BrandCandidate(
            brand=known.brand.id, reference_id=mention.reference_id, score=1.0, kind=WORD
        )
        rule = RuleEvidence(rule=mention.reference_id, pack=known.registry, matched_text=quoted, field=field)
        yield Sighting(
            policy=POLICY,
            label=judgement.label,
            score=1.0,
            source="text",
            question="",
            evidence=Evidence(brand=candidate, rule=rule),
            regions=(),
            internal=f"{_named(brands, known.brand.id)} named in the {field} as {quoted!r}: {judgement.why}",
            seller=seller_reason(POLICY, judgement.label),
        )


def _named(brands: Brands, brand: str) -> str:
    known = brands.by_id.get(brand)
    return f"{known.name} ({brand}, {known.registry})" if known else f"brand {brand}"
