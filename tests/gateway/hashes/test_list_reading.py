"""Lists from files: what is read, and what is refused with file, line and reason."""

from datetime import UTC, datetime, timedelta

import pytest

from gateway.hashes import lists
from ostiary.v1.decision_pb2 import Action
from ostiary_gateway.hashes.entries import Entry, PackedEntries
from ostiary_gateway.hashes.in_force import Hit
from ostiary_gateway.hashes.problems import BadListError

HASH = "f8f8f0cee0f4a84f06370a22038f63f0b36e2ed596621e1d33e6b39c4e9c9b22"
OTHER = "e64cc9d91c623882f8d1f1d9a398e78c9f199b3bd83924f2b7e11e0bf861b064"
NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


def test_an_entry_is_read_with_all_that_it_says() -> None:
    """Source, seller, expiry and note come back with a match."""
    one = lists.known(
        {
            "hash": HASH,
            "source": "ncmec",
            "seller": "s7",
            "expires_at": "2027-01-01T00:00:00+08:00",
            "note": "名",
        }
    )
    hit = one.find(bytes.fromhex(HASH), "s7", NOW)
    until = datetime(2026, 12, 31, 16, tzinfo=UTC)
    assert hit == Hit(Entry(bytes.fromhex(HASH), "ncmec", "s7", until, "名"), 0)


def test_columns_may_be_left_out_and_stand_in_any_order() -> None:
    """Only `hash` must be there; empty lines are passed over."""
    one = lists.read(f"note,hash\nold,{HASH}\n\n,{OTHER.upper()}\n".encode())
    assert len(one) == 2
    hits = [one.find(bytes.fromhex(each), "", NOW) for each in (HASH, OTHER)]
    assert [hit and hit.entry.note for hit in hits] == ["old", ""]


def test_a_header_is_read() -> None:
    """What a list is stands in its YAML file; PDQ matches at 31 bits unless it says less."""
    one = lists.known({"hash": HASH}, source="team", version="7")
    assert (one.header.title, one.header.kind, one.header.action) == ("known@7", "pdq", Action.ACTION_BLOCK)
    assert (one.header.max_distance, one.header.source, one.header.allows) == (31, "team", False)
    assert lists.known({"hash": HASH}, maxDistance=0).header.max_distance == 0
    assert lists.known({"hash": HASH}, kind="HASH_KIND_SHA256").header.max_distance == 0
    assert lists.known({"hash": HASH}, action="ACTION_NOTE", label=None).header.allows


def test_the_digest_is_of_both_files() -> None:
    """A change of either makes another list."""
    digests = {
        lists.known({"hash": HASH}).digest,
        lists.known({"hash": OTHER}).digest,
        lists.known({"hash": HASH}, version="2").digest,
        lists.known({"hash": HASH}).digest,
    }
    assert len(digests) == 3


@pytest.mark.parametrize(
    ("csv", "problem"),
    [
        (f"hash\n{HASH[:-2]}\n", "known.csv:2: hash: 62 characters; 64 hexadecimal digits are needed"),
        (f"hash\n{HASH}\n{HASH}00\n", "known.csv:3: hash: 66 characters; 64"),
        (f"hash\n{'g' * 64}\n", "known.csv:2: hash: 'gggg"),
        (f"hash\n{HASH[:-2]}  \n", "has blanks in it"),
        ("hash\n\n", "known.csv: there is no entry"),
        ("", "known.csv:1: column hash: it is missing"),
        (f"{HASH}\n", f"known.csv:1: column '{HASH}'"),
        (f"hash,hash\n{HASH},{HASH}\n", "known.csv:1: column 'hash' is named twice"),
        (f"hash,sellr\n{HASH},s\n", "known.csv:1: column 'sellr'"),
        (f"hash,note\n{HASH}\n", "known.csv:2: 1 cells; the first line names 2 columns"),
        (f"hash\n{HASH}", "ends within a line"),
        (f"hash,expires_at\n{HASH},soon\n", "known.csv:2: expires_at: 'soon'; a time with its zone"),
        (f"hash,expires_at\n{HASH},2027-01-01\n", "known.csv:2: expires_at: '2027-01-01'; a time with"),
        (f'hash,note\n{HASH},"two\nlines"\n', "known.csv:3: note: 'two\\nlines' has characters"),
        (f"hash,note\n{HASH},{'x' * 501}\n", "known.csv:2: note: 501 characters; at most 500"),
        (f"hash,seller\n{HASH},{'x' * 257}\n", "known.csv:2: seller: 257 characters; at most 256"),
        (f'hash,note\n{HASH},"open\n', "known.csv:2: unexpected end of data"),
    ],
    ids=[
        "short", "long", "not hex", "blanks", "empty", "no file", "no names", "column twice",
        "unknown column", "cells missing", "cut off", "no time", "no zone", "two lines", "long note",
        "long seller", "open quote",
    ],
)  # fmt: skip
def test_bad_entries_are_refused_where_they_stand(csv: str, problem: str) -> None:
    """With file, line and reason."""
    with pytest.raises(BadListError) as refused:
        lists.read(csv.encode())
    assert problem in str(refused.value)


def test_bytes_that_are_no_text_are_refused_where_they_stand() -> None:
    """Entries are UTF-8."""
    with pytest.raises(BadListError, match=r"known\.csv:2: byte 66 of the line is not UTF-8"):
        lists.read(f"hash,note\n{HASH},".encode() + b"\xff\n")


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ({"name": None}, "name: a list is called as its files are"),
        ({"version": ""}, "version: "),
        ({"kind": None}, "kind: say HASH_KIND_SHA256 or HASH_KIND_PDQ"),
        ({"kind": "HASH_KIND_MD5"}, "HASH_KIND_MD5"),
        ({"action": None}, "action: say ACTION_BLOCK"),
        ({"policy": ""}, "policy: say which"),
        ({"label": None}, "label: say which"),
        ({"maxDistance": 32}, "maxDistance: 0 to 31 bits"),
        ({"maxDistance": -1}, "maxDistance: 0 to 31 bits"),
        ({"kind": "HASH_KIND_SHA256", "maxDistance": 1}, "maxDistance: 0 for SHA-256"),
        ({"source": "x" * 257}, "source: at most 256"),
        ({"lifts": ["vlm"]}, "lifts: only an allow-list"),
        ({"lifts": ["text"], "action": "ACTION_NOTE"}, "lifts: ['text'] is none of barcode, logo"),
        ({"entries": [{"note": "x"}]}, "entries: they stand in known.csv"),
        ({"distance": 3}, 'no field named "distance"'),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, dict) else "",
)
def test_bad_headers_are_refused(more: dict[str, object], problem: str) -> None:
    """With the field and what to do."""
    with pytest.raises(BadListError, match=r"^known\.yaml: ") as refused:
        lists.read_list("known", lists.header(**more), [f"hash\n{HASH}\n".encode()])
    assert problem in str(refused.value)


def test_two_lists_cannot_have_one_name() -> None:
    """A list is called as its files are, of which there is one."""
    with pytest.raises(BadListError, match="no two have the same name: 'copy', not 'known'"):
        lists.read_list("copy", lists.header(), [f"hash\n{HASH}\n".encode()])


def test_problems_are_told_up_to_twenty() -> None:
    """Enough to mend a file in one go, and never a log of a million lines."""
    with pytest.raises(BadListError) as refused:
        lists.read(b"hash\n" + b"00\n" * 1000)
    assert [problem.line for problem in refused.value.problems] == list(range(2, 22))


@pytest.mark.parametrize(
    ("seller", "expires_in", "asked_by", "holds"),
    [
        ("", None, "", True),
        ("", None, "s7", True),
        ("s7", None, "s7", True),
        ("s7", None, "s8", False),
        ("s7", None, "", False),
        ("", timedelta(seconds=1), "", True),
        ("", timedelta(0), "", False),
        ("s7", timedelta(days=-1), "s7", False),
    ],
    ids=["for all", "of all", "hers", "another's", "nobody's", "not yet", "right now", "long ago"],
)
def test_entries_hold_for_a_seller_until_they_expire(
    seller: str, expires_in: timedelta | None, asked_by: str, holds: bool
) -> None:
    """An empty seller means everybody, an unset expiry means for good."""
    until = None if expires_in is None else NOW + expires_in
    assert Entry(bytes(32), seller=seller, expires_at=until).holds(asked_by, NOW) is holds


def test_packed_entries_come_back_as_they_were() -> None:
    """With and without texts, in any order."""
    until = datetime(2027, 1, 1, 0, 0, 0, 1, tzinfo=UTC)
    entries = [Entry(bytes(32)), Entry(bytes(32), "a", "b", until, 'ç, "d"'), Entry(bytes(32), tenant="t")]
    packed = PackedEntries()
    for entry in entries:
        packed.append(entry.source, entry.seller, entry.expires_at, entry.note, entry.tenant)
    assert len(packed) == 3
    assert [packed.entry(position, bytes(32)) for position in (2, 0, 1)] == [entries[at] for at in (2, 0, 1)]


def test_the_nearest_entry_that_holds_is_found() -> None:
    """One that has expired, or is another seller's, does not hide one behind it."""
    near = f"{HASH[:-1]}3"
    one = lists.known(
        {"hash": HASH, "seller": "s8"}, {"hash": HASH, "expires_at": "2026-01-01T00:00:00Z"}, {"hash": near}
    )
    hit = one.find(bytes.fromhex(HASH), "s7", NOW)
    assert hit is not None
    assert (hit.entry.hash.hex(), hit.distance) == (near, 1)
