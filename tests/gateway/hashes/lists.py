"""Lists for the gateway's tests."""

import csv
from collections.abc import Sequence
from io import BytesIO, StringIO
from typing import Any

import yaml

from ostiary_gateway.hashes.in_force import HashLists, ListInForce
from ostiary_gateway.hashes.reading import COLUMNS, read_list

HEADER = {
    "name": "known",
    "version": "1",
    "kind": "HASH_KIND_PDQ",
    "action": "ACTION_BLOCK",
    "policy": "prohibited_ads",
    "label": "qr_code",
}


def header(**more: Any) -> bytes:
    """NAME.yaml, with other values than HEADER's; None leaves one out."""
    values = {key: value for key, value in {**HEADER, **more}.items() if value is not None}
    return yaml.safe_dump(values).encode()


def rows(entries: Sequence[dict[str, str]]) -> bytes:
    """NAME.csv with an entry of each of `entries`."""
    file = StringIO()
    writer = csv.DictWriter(file, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(entries)
    return file.getvalue().encode()


def read(entries: bytes, **more: Any) -> ListInForce:
    """The list of NAME.csv and of `header(**more)`."""
    return read_list(more.get("name", HEADER["name"]), header(**more), BytesIO(entries))


def known(*entries: dict[str, str], **more: Any) -> ListInForce:
    """A list of some entries, each with `hash` in hexadecimal digits."""
    return read(rows(entries), **more)


def in_force(*lists: ListInForce) -> HashLists:
    """These lists in force."""
    return HashLists({one.header.name: one for one in lists})
