"""Takes over what a pod saw of identical work, with the canonical bytes that it made."""

import asyncio
import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from ostiary.v1.config_pb2 import RouteVersion
from ostiary.v1.decision_pb2 import Reuse
from ostiary.v1.inference_pb2 import CanonicalBytes, InferResponse
from ostiary.v1.observation_pb2 import Observations
from ostiary.wire.errors import OstiaryError
from ostiary_gateway.evidence import EvidenceError, EvidenceStore, blurred_name, canonical_name
from ostiary_gateway.received import ReceivedCheck
from ostiary_gateway.reuse.cache import Entry, ObservationCache
from ostiary_gateway.reuse.fingerprint import Looker, fingerprint
from ostiary_gateway.reuse.lookers import Lookers
from ostiary_gateway.verify import mismatch


class Reused(StrEnum):
    """What came of asking for identical work."""

    HIT = "hit"
    MISS = "miss"
    UNKNOWN = "unknown"
    """The version's pods do not say, all of them the same, what they look with."""
    DISCARDED = "discarded"
    """There was an entry, and it could not be used: a pod looks again."""


@dataclass(frozen=True)
class Place:
    """Where observations of a check are kept: a fingerprint, and what it takes to look the same way."""

    key: bytes
    version: RouteVersion
    looker: Looker


@dataclass(frozen=True)
class Taken:
    """What was taken over: as a pod's answer, and whose it was."""

    observations: Observations
    canonical: tuple[CanonicalBytes, ...]
    source: Reuse


class ObservationReuse:
    """The cache of observations as a check uses it. For one event loop."""

    def __init__(
        self,
        cache: ObservationCache,
        lookers: Lookers,
        evidence: EvidenceStore,
        counted: Callable[[Reused], None] = lambda outcome: None,
    ) -> None:
        self._cache = cache
        self._lookers = lookers
        self._evidence = evidence
        self._counted = counted
        # The cache lives as long as the process: nobody else ever needs to compute a fingerprint.
        self._secret = secrets.token_bytes(32)

    def place(self, tenant: str, check: ReceivedCheck, version: RouteVersion) -> Place | None:
        """Where observations of `check` would be; None where it is not known what would look."""
        looker = self._lookers.known(version)
        if looker is None:
            self._counted(Reused.UNKNOWN)
            return None
        return Place(fingerprint(self._secret, tenant, check, looker), version, looker)

    async def take(self, place: Place, check_id: str, check: ReceivedCheck) -> Taken | None:
        """What was seen of identical work, for `check`, which is `check_id`; None where a pod must look.

        The canonical bytes come from the evidence of the check that was looked at, so that what is erased
        there cannot be taken over here, whichever process erased it.
        """
        entry = self._cache.get(place.key)
        if entry is None:
            self._counted(Reused.MISS)
            return None
        taken = await self._read(entry)
        if taken is None or not await asyncio.to_thread(_fits, check, taken):
            self.discard(place)
            return None
        # It may have been purged meanwhile: then it is nobody's to use.
        if self._cache.get(place.key) is not entry:
            self._counted(Reused.MISS)
            return None
        self._cache.use(place.key, check_id)
        self._counted(Reused.HIT)
        return taken

    def keep(
        self, place: Place, tenant: str, check_id: str, seen: Observations, decided_at: datetime
    ) -> None:
        """Keep what a pod saw of a check that is on record, if it is whole; `decided_at` is an aware time."""
        if not place.looker.made(seen):
            self._lookers.contradicted(place.version)
            return
        if _whole(seen):
            self._cache.put(place.key, tenant, check_id, seen.SerializeToString(), decided_at)

    def discard(self, place: Place) -> None:
        """Forget what turned out to be of no use: a pod looks again."""
        self._cache.drop(place.key)
        self._counted(Reused.DISCARDED)

    def purge(self, tenant: str, check_id: str) -> bool:
        """Forget what a check saw, or took over, because it is erased; whether there was anything."""
        return self._cache.purge(tenant, check_id)

    async def _read(self, entry: Entry) -> Taken | None:
        """An entry with its canonical bytes; None where they are gone."""
        observations = Observations.FromString(entry.observations)
        indices = [image.image_index for image in observations.images]
        try:
            found = await self._items(entry, map(canonical_name, indices))
            blurred = await self._items(entry, map(blurred_name, indices))
        except (EvidenceError, OstiaryError):
            return None
        if any(data is None for data in found):
            return None
        source = Reuse(check_id=entry.check_id)
        source.looked_at.FromDatetime(entry.decided_at.astimezone(UTC))
        return Taken(observations, _canonical(indices, found, blurred), source)

    async def _items(self, entry: Entry, names: Iterable[str]) -> list[bytes | None]:
        return await asyncio.gather(
            *(self._evidence.get(entry.tenant, entry.check_id, name) for name in names)
        )


def _canonical(
    indices: Sequence[int], found: Sequence[bytes | None], blurred: Sequence[bytes | None]
) -> tuple[CanonicalBytes, ...]:
    return tuple(
        CanonicalBytes(image_index=index, data=data or b"", blurred=little or b"")
        for index, data, little in zip(indices, found, blurred, strict=True)
    )


def _fits(check: ReceivedCheck, taken: Taken) -> bool:
    """Whether it answers the check: asked of it as of a pod's own answer."""
    answer = InferResponse(observations=taken.observations, canonical=taken.canonical)
    return mismatch(check.image_sha256s, answer) is None


def _whole(seen: Observations) -> bool:
    """Whether nothing failed: a failure is looked at again, and never remembered."""
    return bool(seen.images) and not seen.faults and all(each.completed for each in seen.detectors)
