"""The gallery that gateways push: the marks that detectors compare with, replaced while checks run."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import structlog

from ostiary.v1.inference_pb2 import GalleryMark, PutGalleryRequest
from ostiary.v1.observation_pb2 import DetectorInfo, Observations
from ostiary.wire.errors import OstiaryError, Reason, invalid_field
from ostiary.wire.gallery import gallery_digest
from ostiary_moderation.detector import DecodedImage, PreparedGallery
from ostiary_moderation.detectors.runner import DetectorReport, GalleryRunner

MAX_MARKS = 10_000

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Comparison:
    """A gallery in the hands of one detector."""

    runner: GalleryRunner
    prepared: PreparedGallery

    async def run(self, images: Sequence[DecodedImage], reports: Sequence[DetectorReport]) -> DetectorReport:
        """See `GalleryRunner.run`."""
        return await self.runner.run(images, self.prepared, reports)

    def info(self) -> DetectorInfo:
        """The detector's particulars where there was no image to look at."""
        return self.runner.info(completed=True)


@dataclass(frozen=True, slots=True)
class Gallery:
    """A gallery in force. Never changes: a check goes on with the one that it began with.

    `digest`: of all marks that were sent, the refused ones too; 32 bytes, empty where none was sent.
    `comparisons`: one per detector. `refused`: marks that are not compared with, and why, in words.
    """

    digest: bytes = b""
    comparisons: tuple[Comparison, ...] = ()
    refused: tuple[str, ...] = ()

    @property
    def policies(self) -> frozenset[str]:
        """Policies that can be judged with it: none, where there is nothing to compare with."""
        able = (each.runner.detector for each in self.comparisons if each.prepared.marks)
        return frozenset(name for detector in able for name in detector.policies)

    def declare(self, observations: Observations) -> None:
        """Add to observations what can be judged, and with which gallery."""
        capabilities = {*observations.capabilities, *self.policies}
        observations.capabilities[:] = sorted(capabilities)
        observations.gallery_digest = self.digest


class Galleries:
    """Holds the gallery in force. For one event loop."""

    def __init__(self, runners: Sequence[GalleryRunner] = ()) -> None:
        self.runners = tuple(runners)
        self._in_force = Gallery(comparisons=self._comparisons(()))

    @property
    def in_force(self) -> Gallery:
        """The gallery that a check beginning now is compared with."""
        return self._in_force

    async def put(self, request: PutGalleryRequest) -> Gallery:
        """Put a gallery in force and return it. Until it is ready, and if it is refused, the old one stays.

        Raises:
            OstiaryError: INVALID_FIELD: too many marks, or not those that the digest is of. UNIMPLEMENTED: no
                detector compares with galleries.
        """
        if not self.runners:
            words = "No detector of this pod compares with galleries: add logo to its bundle"
            raise OstiaryError(Reason.UNIMPLEMENTED, words)
        if len(request.marks) > MAX_MARKS:
            raise invalid_field("marks", f"{len(request.marks)} marks: send at most {MAX_MARKS}")
        if gallery_digest(request.marks) != request.digest:
            words = "not the digest of these marks, computed as in ostiary.wire.gallery: send both again"
            raise invalid_field("digest", words)
        if request.digest != self._in_force.digest:
            gallery = await asyncio.to_thread(self._prepare, request)
            self._in_force = gallery
            _log.info(
                "gallery in force",
                digest=gallery.digest.hex(),
                marks=len(request.marks),
                refused=len(gallery.refused),
            )
        return self._in_force

    def _prepare(self, request: PutGalleryRequest) -> Gallery:
        unusable = list(_unusable(request.marks))
        usable = [mark for mark, why in zip(request.marks, unusable, strict=True) if not why]
        comparisons = self._comparisons(usable)
        refused = [*filter(None, unusable), *(why for each in comparisons for why in each.prepared.refused)]
        return Gallery(request.digest, comparisons, tuple(refused))

    def _comparisons(self, marks: Sequence[GalleryMark]) -> tuple[Comparison, ...]:
        return tuple(Comparison(runner, runner.detector.prepare(marks)) for runner in self.runners)


def _unusable(marks: Sequence[GalleryMark]) -> Iterator[str]:
    """For each mark why no detector could ever use it, or an empty string."""
    known: set[str] = set()
    for number, mark in enumerate(marks):
        if not mark.reference_id:
            yield f"mark {number}: has no reference id: give it one that no other mark has"
        elif mark.reference_id in known:
            yield f"{mark.reference_id}: another mark has this reference id: give each its own"
        elif not mark.brand:
            yield f"{mark.reference_id}: has no brand: name the one that it stands for"
        else:
            yield "" if mark.image or mark.words else f"{mark.reference_id}: has neither image nor words"
        known.add(mark.reference_id)
