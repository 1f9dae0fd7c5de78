"""What an overturn allows: entries of allow-lists for the seller, with an end. Pure.

A picture is allowed by its exact bytes, whatever has flagged it; and by what it looks like where a model has,
as the policy says of allow-lists. What was read in it may be other words next time, on much the same picture.
"""

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from ostiary.v1.admin_pb2 import HashKind, HashList
from ostiary.v1.decision_pb2 import ACTION_NOTE, Finding
from ostiary.v1.record_pb2 import DecisionRecord
from ostiary_gateway.hashes.entries import Entry
from ostiary_gateway.hashes.in_force import ListInForce
from ostiary_gateway.hashes.matching import LEAST_QUALITY
from ostiary_gateway.hashes.messages import bare
from ostiary_gateway.hashes.writing import entries_text, header_text
from ostiary_gateway.policy.known_images import image_of

PREFIX = "overturned"
SOURCE = "review"
# Not what known images are matched by: those are taken off their list, by whoever keeps it.
_LIFTS = ("vlm", "nudity", "ocr", "logo", "barcode")
NEAR = 16  # bits: the same picture, saved anew
_LONGEST_NAME = 63


@dataclass(frozen=True)
class Allowance:
    """Entries for one list: what they speak for, which kind of hash, and the hashes."""

    policy: str
    label: str
    kind: HashKind.ValueType
    hashes: tuple[bytes, ...]

    @property
    def name(self) -> str:
        """The list's name."""
        exact = "-exact" if self.kind == HashKind.HASH_KIND_SHA256 else ""
        plain = re.sub("[^a-z0-9]+", "-", f"{self.policy}-{self.label}".lower()).strip("-")
        name = f"{PREFIX}-{plain}{exact}"
        if len(name) <= _LONGEST_NAME:
            return name
        return f"{PREFIX}-{hashlib.sha256(f'{self.policy}/{self.label}'.encode()).hexdigest()[:16]}{exact}"


def allowances(record: DecisionRecord) -> list[Allowance]:
    """What its overturn allows; nothing without a seller, or where no image was flagged."""
    if not record.listing.seller:
        return []
    flagged = dict.fromkeys(_flagged(record.response.findings))
    found: dict[tuple[str, str, HashKind.ValueType], dict[bytes, None]] = {}
    for policy, label, image in flagged:
        for kind, hash_ in _hashes(record, image):
            found.setdefault((policy, label, kind), {})[hash_] = None
    return [Allowance(policy, label, kind, tuple(hashes)) for (policy, label, kind), hashes in found.items()]


def granting(
    allowance: Allowance, record: DecisionRecord, until: datetime, version: str, now: datetime
) -> Callable[[ListInForce | None], tuple[bytes, bytes] | None]:
    """Adds the entries to a list, for the record's seller `until` then, and drops what ended before `now`."""

    def amended(held: ListInForce | None) -> tuple[bytes, bytes] | None:
        seller, tenant, note = record.listing.seller, record.tenant, _note(record.check_id)
        kept = {
            (entry.hash, entry.seller, entry.tenant): entry
            for entry in _entries(held)
            if entry.expires_at is None or entry.expires_at > now
        }
        fresh = [
            hash_ for hash_ in allowance.hashes if not _outlasts(kept.get((hash_, seller, tenant)), until)
        ]
        if not fresh:
            return None
        kept.update(
            {(hash_, seller, tenant): Entry(hash_, SOURCE, seller, until, note, tenant) for hash_ in fresh}
        )
        return _files(_header(allowance), version, list(kept.values()))

    return amended


def withdrawing(
    check_id: str, version: str, now: datetime
) -> Callable[[ListInForce | None], tuple[bytes, bytes] | None]:
    """Ends, `now`, what the overturn of a check had allowed."""

    def amended(held: ListInForce | None) -> tuple[bytes, bytes] | None:
        entries = list(_entries(held))
        note = _note(check_id)
        ended = [replace(entry, expires_at=now) if entry.note == note else entry for entry in entries]
        if held is None or ended == entries:
            return None
        return _files(bare(held.header), version, ended)

    return amended


def is_of_overturns(name: str) -> bool:
    """Whether a list is one of those that overturns are written to."""
    return name.startswith(f"{PREFIX}-")


def _flagged(findings: Sequence[Finding]) -> Iterator[tuple[str, str, int]]:
    for found in findings:
        if found.action > ACTION_NOTE and (image := image_of(found)) >= 0:
            yield found.policy, found.label, image


def _hashes(record: DecisionRecord, image: int) -> Iterator[tuple[HashKind.ValueType, bytes]]:
    for seen in record.observations.images:
        if seen.image_index == image:
            yield from ((HashKind.HASH_KIND_SHA256, each) for each in (seen.sha256, seen.raw_sha256) if each)
    for pdq in record.observations.pdq:
        if pdq.image_index == image and pdq.quality >= LEAST_QUALITY:
            yield HashKind.HASH_KIND_PDQ, pdq.hash


def _header(allowance: Allowance) -> HashList:
    exact = allowance.kind == HashKind.HASH_KIND_SHA256
    return HashList(
        name=allowance.name,
        kind=allowance.kind,
        action=ACTION_NOTE,
        policy=allowance.policy,
        label=allowance.label,
        max_distance=0 if exact else NEAR,
        source=SOURCE,
        lifts=_LIFTS if exact else (),
    )


def _files(header: HashList, version: str, entries: Sequence[Entry]) -> tuple[bytes, bytes]:
    header.version = version
    return header_text(header).encode(), entries_text(entries).encode()


def _entries(held: ListInForce | None) -> Iterator[Entry]:
    if held is not None:
        for position in range(len(held)):
            yield held.entries.entry(position, held.index.hash_at(position))


def _outlasts(entry: Entry | None, until: datetime) -> bool:
    return entry is not None and (entry.expires_at is None or entry.expires_at >= until)


def _note(check_id: str) -> str:
    return f"check {check_id} was overturned"
