"""What an overturn allows: entries of allow-lists for the seller, with an end. Pure.

A picture is allowed by its exact bytes, whatever has flagged it; and by what it looks like where a model has,
as the policy says of allow-lists. What was read in it may be other words next time, on much the same picture.
"""

import hashlib
import re
from collections.abc import Callable, Collection, Iterator, Sequence
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

Amended = Callable[[ListInForce | None], tuple[bytes, bytes] | None]
"""What becomes of a list, as `FolderListSource.amend` takes it."""
PREFIX = "overturned"
SOURCE = "review"
# Not what known images are matched by: those are taken off their list, by whoever keeps it.
_LIFTS = ("vlm", "nudity", "ocr", "logo", "barcode")
NEAR = 16  # bits: the same picture, saved anew
_PLAIN = re.compile("[a-z0-9]+(_[a-z0-9]+)*")
_LONGEST_NAME = 63


@dataclass(frozen=True)
class Allowance:
    """One hash that is allowed: what for, for whom, until when, and because of which check."""

    policy: str
    label: str
    kind: HashKind.ValueType
    hash: bytes
    tenant: str
    seller: str
    until: datetime
    check_id: str

    @property
    def list(self) -> str:
        """Name of the list that it goes to."""
        exact = "--exact" if self.kind == HashKind.HASH_KIND_SHA256 else ""
        name = f"{PREFIX}-{self.policy}--{self.label}{exact}".replace("_", "-")
        if _PLAIN.fullmatch(self.policy) and _PLAIN.fullmatch(self.label) and len(name) <= _LONGEST_NAME:
            return name
        # No two policies and labels may share a list.
        return f"{PREFIX}-{hashlib.sha256(f'{self.policy}/{self.label}'.encode()).hexdigest()[:16]}{exact}"

    @property
    def entry(self) -> Entry:
        """Its entry there."""
        return Entry(self.hash, SOURCE, self.seller, self.until, _note(self.check_id), self.tenant)


def allowances(record: DecisionRecord, until: datetime) -> list[Allowance]:
    """What its overturn allows until then; nothing without a seller, or where no image was flagged."""
    if not record.listing.seller:
        return []
    found = (
        Allowance(policy, label, kind, hash_, record.tenant, record.listing.seller, until, record.check_id)
        for policy, label, image in _flagged(record.response.findings)
        for kind, hash_ in _hashes(record, image)
    )
    return list(dict.fromkeys(found))


def granting(granted: Sequence[Allowance], version: str, now: datetime) -> Amended:
    """Adds what is allowed to its list, which is the same for all, and drops what ended before `now`."""

    def amended(held: ListInForce | None) -> tuple[bytes, bytes] | None:
        entries = {_key(entry): entry for entry in _entries(held) if _lasts(entry, now)}
        fresh = [each.entry for each in granted if not _outlasts(entries.get(_key(each.entry)), each.until)]
        if not fresh:
            return None
        entries.update((_key(entry), entry) for entry in fresh)
        return _files(_header(granted[0]), version, list(entries.values()))

    return amended


def withdrawing(check_ids: Collection[str], version: str, now: datetime) -> Amended:
    """Ends, `now`, what the overturns of checks had allowed."""
    notes = set(map(_note, check_ids))

    def amended(held: ListInForce | None) -> tuple[bytes, bytes] | None:
        entries = list(_entries(held))
        ended = [
            replace(entry, expires_at=now) if entry.note in notes and _lasts(entry, now) else entry
            for entry in entries
        ]
        if held is None or ended == entries:
            return None
        return _files(bare(held.header), version, ended)

    return amended


def forgetting(check_id: str, version: str) -> Callable[[ListInForce | None], tuple[bytes, bytes] | None]:
    """Takes off what the overturn of a check had allowed, without a trace."""

    def amended(held: ListInForce | None) -> tuple[bytes, bytes] | None:
        entries, note = list(_entries(held)), _note(check_id)
        left = [entry for entry in entries if entry.note != note]
        if held is None or left == entries:
            return None
        return _files(bare(held.header), version, left)

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
        name=allowance.list,
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


def _key(entry: Entry) -> tuple[bytes, str, str]:
    return entry.hash, entry.seller, entry.tenant


def _lasts(entry: Entry, now: datetime) -> bool:
    return entry.expires_at is None or entry.expires_at > now


def _outlasts(entry: Entry | None, until: datetime) -> bool:
    return entry is not None and (entry.expires_at is None or entry.expires_at >= until)


def _note(check_id: str) -> str:
    return f"check {check_id} was overturned"
