"""Registries as decisions use them, and the gallery that they are for pods."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from ostiary.v1.config_pb2 import Brand, BrandRegistry
from ostiary.v1.inference_pb2 import GalleryMark, PutGalleryRequest
from ostiary.wire.gallery import gallery_digest
from ostiary_gateway.brands.words import WordIndex

POLICY = "logo_infringement"
"""The policy that brands are judged under."""


@dataclass(frozen=True, slots=True, eq=False)
class Registry:
    """A valid registry; `digest` is SHA-256 over the message, deterministically serialised, 32 bytes."""

    message: BrandRegistry
    digest: bytes

    @classmethod
    def of(cls, message: BrandRegistry) -> "Registry":
        """A registry that was found valid."""
        return cls(message, hashlib.sha256(message.SerializeToString(deterministic=True)).digest())

    @property
    def title(self) -> str:
        """Name and version: `house-brands@7`."""
        return f"{self.message.name}@{self.message.version}"


@dataclass(frozen=True, slots=True, eq=False)
class KnownBrand:
    """A brand, and the title of the registry that it stands in."""

    brand: Brand
    registry: str

    @property
    def name(self) -> str:
        """Its name for people."""
        return self.brand.display_name or self.brand.id


@dataclass(frozen=True, slots=True, eq=False)
class Brands:
    """All registries in force.

    Attributes:
        by_name: the registries.
        by_id: their brands.
        by_reference: the brand of each mark, by its reference id.
        words: finds their word marks in texts.
        gallery: digest of their marks as a gallery, 32 bytes.
        believed: digests of galleries whose candidates count: this one, and for a while the one before.
    """

    by_name: Mapping[str, Registry]
    by_id: Mapping[str, KnownBrand]
    by_reference: Mapping[str, KnownBrand]
    words: WordIndex
    gallery: bytes
    believed: frozenset[bytes]

    @classmethod
    def of(cls, registries: Iterable[Registry]) -> "Brands":
        """Registries that do not overlap, in force together."""
        held = tuple(registries)
        known = [KnownBrand(brand, one.title) for one in held for brand in one.message.brands]
        gallery = gallery_digest(_marks(held))
        return cls(
            by_name={one.message.name: one for one in held},
            by_id={each.brand.id: each for each in known},
            by_reference=dict(_references(known)),
            words=WordIndex(
                (spelling, word.reference_id)
                for each in known
                for word in each.brand.words
                for spelling in (word.text, *word.variants)
            ),
            gallery=gallery,
            believed=frozenset((gallery,)),
        )

    def believing(self, galleries: Iterable[bytes]) -> "Brands":
        """The same, where candidates of these galleries count too."""
        return replace(self, believed=self.believed.union(galleries))

    def put_gallery(self) -> PutGalleryRequest:
        """What makes the gallery a pod's: as large as all marks together, so not to be held for long."""
        return PutGalleryRequest(digest=self.gallery, marks=_marks(self.by_name.values()))


def _references(known: Iterable[KnownBrand]) -> Iterator[tuple[str, KnownBrand]]:
    for each in known:
        yield from ((mark.reference_id, each) for mark in each.brand.marks)
        yield from ((word.reference_id, each) for word in each.brand.words)


def _marks(registries: Iterable[Registry]) -> Iterator[GalleryMark]:
    for registry in registries:
        for brand in registry.message.brands:
            for mark in brand.marks:
                yield GalleryMark(brand=brand.id, reference_id=mark.reference_id, image=mark.image)
            for word in brand.words:
                spellings = (word.text, *word.variants)
                yield GalleryMark(brand=brand.id, reference_id=word.reference_id, words=spellings)


NO_BRANDS = Brands.of(())
