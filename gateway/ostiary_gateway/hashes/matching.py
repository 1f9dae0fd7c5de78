"""Which images of a check are known, and to which lists. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from ostiary.v1.observation_pb2 import Observations, PdqHash
from ostiary_gateway.hashes.header import SHA256
from ostiary_gateway.hashes.in_force import Hit, ListInForce

LEAST_QUALITY = 50
"""PDQ of a lower quality is of an image with hardly anything in it; its authors advise not to compare it."""


@dataclass(frozen=True, slots=True)
class Match:
    """An image that a list knows: where, by which entry, and in which frame."""

    list: ListInForce
    hit: Hit
    image_index: int
    frame: int


def known_images(
    lists: Iterable[ListInForce], observations: Observations, seller: str, at: datetime, tenant: str = ""
) -> list[Match]:
    """The images that a list knows by any of their frames: the nearest match of each image to each list.

    Args:
        lists: where to look.
        observations: sound ones.
        seller: whose listing it is; may be empty.
        at: aware time of the decision: entries that have expired by then are passed over.
        tenant: of which the seller is.
    """
    nearest: dict[tuple[str, int], Match] = {}
    for match in _matches(lists, observations, seller, at, tenant):
        key = (match.list.header.name, match.image_index)
        if key not in nearest or match.hit.distance < nearest[key].hit.distance:
            nearest[key] = match
    return list(nearest.values())


def wholly_known_images(
    lists: Iterable[ListInForce], observations: Observations, seller: str, at: datetime, tenant: str = ""
) -> list[Match]:
    """The images that a list knows in every frame: what `known_images` gives, but for the others.

    What allows an image must have seen all of it.
    """
    frames: dict[int, int] = {}
    for hash_ in observations.pdq:
        frames[hash_.image_index] = frames.get(hash_.image_index, 0) + 1
    by_image: dict[tuple[str, int], list[Match]] = {}
    for match in _matches(lists, observations, seller, at, tenant):
        by_image.setdefault((match.list.header.name, match.image_index), []).append(match)
    return [
        max(matches, key=lambda match: match.hit.distance)
        for (_, image), matches in by_image.items()
        if matches[0].list.header.kind == SHA256 or len(matches) == frames[image]
    ]


def _matches(
    lists: Iterable[ListInForce], observations: Observations, seller: str, at: datetime, tenant: str = ""
) -> Iterator[Match]:
    for one in lists:
        for image, frame, hash_ in _hashes(one.header.kind, observations):
            if hit := one.find(hash_, seller, at, tenant):
                yield Match(one, hit, image, frame)


def _hashes(kind: str, observations: Observations) -> Iterator[tuple[int, int, bytes]]:
    """Image, frame and hash of all that can be compared with entries of a kind."""
    if kind == SHA256:
        for image in observations.images:
            yield image.image_index, 0, image.sha256
            yield image.image_index, 0, image.raw_sha256
    else:
        yield from ((one.image_index, one.frame, one.hash) for one in _telling(observations.pdq))


def _telling(hashes: Sequence[PdqHash]) -> list[PdqHash]:
    return [one for one in hashes if one.quality >= LEAST_QUALITY]
