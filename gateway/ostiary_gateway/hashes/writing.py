"""A list as its two files."""

import csv
from collections.abc import Iterable
from datetime import UTC
from io import StringIO

import yaml
from google.protobuf import json_format

from ostiary.v1.admin_pb2 import HashList
from ostiary_gateway.hashes.entries import Entry
from ostiary_gateway.hashes.reading import COLUMNS


def header_text(message: HashList) -> str:
    """NAME.yaml: the proto3 JSON mapping, as YAML."""
    return yaml.safe_dump(json_format.MessageToDict(message), sort_keys=False, allow_unicode=True)


def entries_text(entries: Iterable[Entry]) -> str:
    """NAME.csv: its columns' names, then one entry a line."""
    file = StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    for entry in entries:
        until = entry.expires_at.astimezone(UTC).isoformat() if entry.expires_at else ""
        writer.writerow([entry.hash.hex(), entry.source, entry.seller, until, entry.note, entry.tenant])
    return file.getvalue()
