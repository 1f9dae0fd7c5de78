"""Lists as messages: what AdminService takes and gives."""

from datetime import UTC
from io import BytesIO

from ostiary.v1.admin_pb2 import HashEntry, HashList
from ostiary_gateway.hashes.entries import Entry
from ostiary_gateway.hashes.header import KINDS, Header
from ostiary_gateway.hashes.in_force import ListInForce
from ostiary_gateway.hashes.index import HASH_BYTES
from ostiary_gateway.hashes.problems import MOST_PROBLEMS, BadListError, Problem
from ostiary_gateway.hashes.reading import read_list
from ostiary_gateway.hashes.writing import entries_text, header_text


def files_of(message: HashList) -> tuple[bytes, bytes]:
    """What NAME.yaml and NAME.csv hold for a list.

    Raises:
        BadListError: an entry's hash is none; says which and why.
    """
    wrong = [
        Problem(f"entries[{number}].hash", 0, f"{len(entry.hash)} bytes; {HASH_BYTES} are needed")
        for number, entry in enumerate(message.entries)
        if len(entry.hash) != HASH_BYTES
    ]
    if wrong:
        raise BadListError(wrong[:MOST_PROBLEMS])
    header = HashList()
    header.CopyFrom(message)
    header.ClearField("entries")
    return header_text(header).encode(), entries_text(map(_entry, message.entries)).encode()


def read_files(name: str, header: bytes, entries: bytes) -> ListInForce:
    """The list that the two files of a name make.

    Raises:
        BadListError: says which file, which line and why.
    """
    return read_list(name, header, BytesIO(entries))


def message_of(one: ListInForce) -> HashList:
    """A list with its entries, as AdminService takes it."""
    message = bare(one.header)
    for entry in one:
        added = message.entries.add(
            hash=entry.hash, note=entry.note, seller=entry.seller, source=entry.source, tenant=entry.tenant
        )
        if entry.expires_at is not None:
            added.expires_at.FromDatetime(entry.expires_at)
    return message


def bare(header: Header) -> HashList:
    """A list in force, without its entries."""
    return HashList(
        name=header.name,
        version=header.version,
        kind=KINDS[header.kind],
        action=header.action,
        policy=header.policy,
        label=header.label,
        max_distance=header.max_distance,
        source=header.source,
        lifts=header.lifts,
    )


def _entry(entry: HashEntry) -> Entry:
    expires_at = entry.expires_at.ToDatetime(UTC) if entry.HasField("expires_at") else None
    return Entry(entry.hash, entry.source, entry.seller, expires_at, entry.note, entry.tenant)
