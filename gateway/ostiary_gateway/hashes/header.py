"""What a list is: the ostiary.v1.HashList without its entries, as NAME.yaml has it."""

import re
from dataclasses import dataclass

from ostiary.v1.admin_pb2 import HashKind, HashList
from ostiary.v1.decision_pb2 import Action
from ostiary_gateway.hashes.index import MOST_DISTANT
from ostiary_gateway.json_mapping import parse_message

SHA256, PDQ = "sha256", "pdq"
KINDS = {SHA256: HashKind.HASH_KIND_SHA256, PDQ: HashKind.HASH_KIND_PDQ}
LIFTABLE = frozenset({"ocr", "barcode", "logo", "vlm", "nudity", PDQ, SHA256})
"""Sources of findings that an allow-list can turn into notes: those that tell of an image."""
_NAMES = {kind: name for name, kind in KINDS.items()}
_DNS_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_LONGEST_SOURCE = 256


@dataclass(frozen=True, slots=True)
class Header:
    """A list without its entries, checked.

    Attributes:
        name: a DNS label; the files are called by it.
        version: shown in receipts.
        kind: `sha256` or `pdq`, as `Finding.source` says it.
        action: what a match asks for; ACTION_NOTE: it is an allow-list.
        policy: policy that a match speaks for.
        label: label within the policy; empty only for an allow-list that speaks for all of them.
        max_distance: in bits, 0 to 31; 0 for SHA-256.
        source: where entries come from that do not say so themselves.
        lifts: sources whose findings an allow-list lifts; empty: as the policy says.
    """

    name: str
    version: str
    kind: str
    action: Action.ValueType
    policy: str
    label: str
    max_distance: int
    source: str
    lifts: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """Name and version: `known-fakes@7`."""
        return f"{self.name}@{self.version}"

    @property
    def allows(self) -> bool:
        """Whether it is an allow-list."""
        return self.action == Action.ACTION_NOTE


def parse_header(text: str, file_stem: str) -> Header:
    """The header in `text` (proto3 JSON mapping, as YAML) of the list whose files are called `file_stem`.

    Raises:
        ValueError: in words: what is wrong where.
    """
    message = parse_message(text, HashList)
    _require(not message.entries, f"entries: they stand in {file_stem}.csv, one a line")
    _require(
        message.name == file_stem,
        f"name: a list is called as its files are, so that no two have the same name: {file_stem!r}, "
        f"not {message.name!r}",
    )
    return check_header(message)


def check_header(message: HashList) -> Header:
    """The header of `message`, whose entries are left aside.

    Raises:
        ValueError: as `parse_header`.
    """
    _require(_DNS_LABEL.fullmatch(message.name), "name: a DNS label is needed, such as `known-fakes`")
    _require(message.version, 'version: it is shown in receipts, so give one, such as "1"')
    _require(message.kind in _NAMES, "kind: say HASH_KIND_SHA256 or HASH_KIND_PDQ")
    _require(
        message.action in Action.values() and message.action,
        "action: say ACTION_BLOCK or ACTION_REVIEW, or ACTION_NOTE for an allow-list",
    )
    allows = message.action == Action.ACTION_NOTE
    _require(message.policy, "policy: say which one a match speaks for, such as `prohibited_ads`")
    _require(message.label or allows, "label: say which one a match is a finding of")
    _require(len(message.source) <= _LONGEST_SOURCE, f"source: at most {_LONGEST_SOURCE} characters")
    _require(allows or not message.lifts, "lifts: only an allow-list (ACTION_NOTE) lifts anything")
    unknown = sorted(set(message.lifts) - LIFTABLE)
    _require(not unknown, f"lifts: {unknown} is none of {', '.join(sorted(LIFTABLE))}")
    return Header(
        name=message.name,
        version=message.version,
        kind=_NAMES[message.kind],
        action=message.action,
        policy=message.policy,
        label=message.label,
        max_distance=_max_distance(message),
        source=message.source,
        lifts=tuple(message.lifts),
    )


def _max_distance(message: HashList) -> int:
    most = MOST_DISTANT if message.kind == HashKind.HASH_KIND_PDQ else 0
    if not message.HasField("max_distance"):
        return most
    words = f"0 to {most} bits for PDQ" if most else "0 for SHA-256, which is equal or is not"
    _require(0 <= message.max_distance <= most, f"maxDistance: {words}; not {message.max_distance}")
    return message.max_distance


def _require(condition: object, message: str) -> None:
    if not condition:
        raise ValueError(message)
