"""What makes a registry one that is refused."""

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC

from ostiary.v1.config_pb2 import Authorisation, Brand, BrandRegistry
from ostiary_gateway.brands import png, words
from ostiary_gateway.brands.places import CATEGORIES, is_territory

MAX_MARKS = 10_000
MAX_GALLERY_BYTES = 200_000_000
"""What one message to a pod has room for."""

_DNS_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_REFERENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_MAX_SELLER = 256

Place = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong where: `place` leads to it by the names that files have."""

    place: Place
    reason: str

    def __str__(self) -> str:
        """As people find it: `brands[3].words[0].text: …`."""
        path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in self.place)
        return f"{path.removeprefix('.')}: {self.reason}" if path else self.reason


def faults(registry: BrandRegistry) -> Iterator[Fault]:
    """What is wrong with one registry."""
    if not _DNS_LABEL.fullmatch(registry.name):
        yield Fault(("name",), "a DNS label is needed, such as `house-brands`")
    if not registry.version:
        yield Fault(("version",), 'it is shown in receipts, so give one, such as "1"')
    if not registry.brands:
        yield Fault(("brands",), "name at least one; to take the registry out of force, remove its file")
    for number, brand in enumerate(registry.brands):
        yield from _brand_faults(("brands", number), brand)
    for _, fault in overlaps([registry]):
        yield fault


def overlaps(registries: Sequence[BrandRegistry]) -> Iterator[tuple[str, Fault]]:
    """Brands that cannot be told apart, and what is too much together: with the registry that is at fault.

    Of two brands that claim the same, the later one is.
    """
    claims = _Claims()
    marks = size = 0
    for registry in registries:
        for number, brand in enumerate(registry.brands):
            for fault in claims.add(("brands", number), brand, registry.name):
                yield registry.name, fault
            marks += len(brand.marks) + len(brand.words)
            size += brand.ByteSize()
        if marks > MAX_MARKS:
            yield registry.name, Fault(("brands",), f"{marks:,} marks; a gallery has at most {MAX_MARKS:,}")
        if size > MAX_GALLERY_BYTES:
            yield registry.name, Fault(("brands",), _too_large(size))


class _Claims:
    """Who has claimed which id, reference id, word and image so far."""

    def __init__(self) -> None:
        self._taken: dict[tuple[str, str | bytes], tuple[Place, str]] = {}

    def add(self, place: Place, brand: Brand, registry: str) -> Iterator[Fault]:
        owner = f"brand {brand.id} of {registry}"
        yield from self._claim("id", brand.id, (*place, "id"), owner, alone=True)
        for number, mark in enumerate(brand.marks):
            here = (*place, "marks", number)
            yield from self._claim("reference", mark.reference_id, (*here, "referenceId"), owner, alone=True)
            if mark.image:
                digest = hashlib.sha256(mark.image).digest()
                yield from self._claim("image", digest, (*here, "image"), owner)
        for number, word in enumerate(brand.words):
            here = (*place, "words", number)
            yield from self._claim("reference", word.reference_id, (*here, "referenceId"), owner, alone=True)
            yield from self._claim("word", words.folded(word.text), (*here, "text"), owner)
            for which, variant in enumerate(word.variants):
                yield from self._claim("word", words.folded(variant), (*here, "variants", which), owner)

    def _claim(
        self, kind: str, value: str | bytes, place: Place, owner: str, *, alone: bool = False
    ) -> Iterator[Fault]:
        """`alone`: not even the same brand may claim it twice."""
        if not value:
            return
        first, claimant = self._taken.setdefault((kind, value), (place, owner))
        if (first, claimant) != (place, owner) and (alone or claimant != owner):
            yield Fault(place, _OVERLAPS[kind].format(claimant))


_OVERLAPS = {
    "id": "it is the id of {} already; each brand has one of its own",
    "reference": "it is a reference id of {} already; each mark has one of its own",
    "word": "it reads like a word mark of {}; give it to one of the two",
    "image": "it is the same image as a mark of {}; give it to one of the two",
}


def _brand_faults(place: Place, brand: Brand) -> Iterator[Fault]:
    if not _DNS_LABEL.fullmatch(brand.id):
        yield Fault((*place, "id"), f"{brand.id!r}; a DNS label is needed, such as `acme`")
    if not (brand.marks or brand.words):
        yield Fault(place, "it has neither marks nor words: there is nothing to look for")
    for number, mark in enumerate(brand.marks):
        yield from _reference_faults((*place, "marks", number), mark.reference_id)
        if why := png.fault(mark.image):
            yield Fault((*place, "marks", number, "image"), why)
    for number, word in enumerate(brand.words):
        here = (*place, "words", number)
        yield from _reference_faults(here, word.reference_id)
        if why := words.fault(word.text):
            yield Fault((*here, "text"), why)
        for which, variant in enumerate(word.variants):
            if why := words.fault(variant):
                yield Fault((*here, "variants", which), why)
    yield from _scope_faults(place, brand.territories, brand.categories)
    for number, given in enumerate(brand.authorisations):
        yield from _authorisation_faults((*place, "authorisations", number), given)


def _reference_faults(place: Place, reference_id: str) -> Iterator[Fault]:
    if not _REFERENCE.fullmatch(reference_id):
        allowed = "1 to 128 letters, digits, dots, underscores and hyphens, starting with a letter or digit"
        yield Fault((*place, "referenceId"), f"{reference_id!r}; {allowed}")


def _scope_faults(place: Place, territories: Iterable[str], categories: Iterable[str]) -> Iterator[Fault]:
    for number, code in enumerate(territories):
        if not is_territory(code):
            reason = f"{code!r} is none of ISO 3166-1 alpha-2, such as DE; the United Kingdom is GB"
            yield Fault((*place, "territories", number), reason)
    for number, category in enumerate(categories):
        if category not in CATEGORIES:
            reason = f"{category!r} is none of {', '.join(CATEGORIES)}; `general` is all others"
            yield Fault((*place, "categories", number), reason)


def _authorisation_faults(place: Place, given: Authorisation) -> Iterator[Fault]:
    if not 0 < len(given.seller) <= _MAX_SELLER:
        yield Fault((*place, "seller"), f"1 to {_MAX_SELLER} characters, as listings name the seller")
    yield from _scope_faults(place, given.territories, given.categories)
    if given.HasField("valid_from") and given.HasField("valid_until"):
        begins, ends = given.valid_from.ToDatetime(UTC), given.valid_until.ToDatetime(UTC)
        if ends <= begins:
            reason = f"{ends.isoformat()} is not after validFrom, {begins.isoformat()}: it would never hold"
            yield Fault((*place, "validUntil"), reason)


def _too_large(size: int) -> str:
    return (
        f"{size:,} bytes of marks; {MAX_GALLERY_BYTES:,} are the most that one message to a pod has room "
        "for: use smaller images, 512 pixels are enough"
    )
