"""Importing what exchanges export, and what people keep in CSV."""

import json
from collections.abc import Mapping

import pytest

from ostiary_gateway.hashes.entries import Entry
from ostiary_gateway.hashes.importing import import_entries
from ostiary_gateway.hashes.problems import BadListError

A = "f8f8f0cee0f4a84f06370a22038f63f0b36e2ed596621e1d33e6b39c4e9c9b22"
B = "e64cc9d91c623882f8d1f1d9a398e78c9f199b3bd83924f2b7e11e0bf861b064"

DATASET_CSV = f"""signal_type,signal_str,collab,category,tags
pdq,{A},Shared Images,POSITIVE_CLASS,fake handbag
video_md5,d41d8cd98f00b204e9800998ecf8427e,Shared Images,POSITIVE_CLASS,
pdq,{B},Shared Images,NEGATIVE_CLASS,
"""
GRAPH_JSON = json.dumps(
    {
        "data": [
            {
                "id": "1",
                "type": "HASH_PDQ",
                "raw_indicator": A,
                "status": "MALICIOUS",
                "owner": {"id": "9", "name": "Some Marketplace"},
                "tags": {"data": [{"id": "2", "text": "fake"}, {"id": "3", "text": "handbag"}]},
            },
            {"id": "4", "type": "HASH_PDQ", "indicator": B, "should_delete": True},
            {"id": "5", "type": "HASH_SHA256", "indicator": B, "status": "MALICIOUS"},
            {"id": "6", "type": "HASH_PDQ", "indicator": B, "status": "NON_MALICIOUS"},
        ]
    }
)
SIGNALS_JSON = json.dumps([{"signal_type": "pdq", "signal_value": A, "tags": ["fake", "handbag"]}])
SIGNAL_LINES = f"pdq {A}\nurl https://example.com\npdq {A}\n"
OWN_CSV = f"hash,note\n{A},tags: fake\n{A},again\n"


@pytest.mark.parametrize(
    ("text", "entry", "left_out"),
    [
        (
            DATASET_CSV,
            Entry(bytes.fromhex(A), "Shared Images", note="tags: fake, handbag"),
            {"of the kind 'video_md5'": 1, "called NEGATIVE_CLASS": 1},
        ),
        (
            GRAPH_JSON,
            Entry(bytes.fromhex(A), "Some Marketplace", note="tags: fake, handbag"),
            {"deleted": 1, "of the kind 'HASH_SHA256'": 1, "called NON_MALICIOUS": 1},
        ),
        (SIGNALS_JSON, Entry(bytes.fromhex(A), note="tags: fake, handbag"), {}),
        (SIGNAL_LINES, Entry(bytes.fromhex(A)), {"of the kind 'url'": 1, "there already": 1}),
        (OWN_CSV, Entry(bytes.fromhex(A), note="tags: fake"), {"there already": 1}),
    ],
    ids=["dataset CSV", "Graph API", "JSON array", "signal lines", "our CSV"],
)
def test_formats_are_recognised(text: str, entry: Entry, left_out: Mapping[str, int]) -> None:
    """Each gives the one entry that is meant, and says what it left out and why."""
    found = import_entries("signals", text, "pdq")
    assert found.entries == [entry]
    assert dict(found.left_out) == left_out


def test_one_hash_for_two_sellers_is_two_entries() -> None:
    """Allow entries are a seller's own."""
    text = f"hash,seller\n{A},s7\n{A},s8\n"
    assert [entry.seller for entry in import_entries("own.csv", text, "pdq").entries] == ["s7", "s8"]


def test_sha256_is_taken_where_it_is_asked_for() -> None:
    """The same export feeds lists of either kind."""
    assert import_entries("graph.json", GRAPH_JSON, "sha256").entries == [Entry(bytes.fromhex(B))]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (f"hash\n{A}\nabc\n", "f:3: hash: 3 characters; 64 hexadecimal digits are needed"),
        (DATASET_CSV.replace(A, A[:32]), "f:2: hash: 32 characters"),
        (DATASET_CSV.replace(A, "x" * 64), "f:2: hash: 'xxxx"),
        (SIGNALS_JSON.replace(A, A[1:]), "f:1: hash: 63 characters"),
        (SIGNALS_JSON.replace(A, ""), "f:1: hash: 0 characters"),
        (f"pdq {A}\npdq {A}0\n", "f:2: hash: 65 characters"),
        (DATASET_CSV + '"a"b,', "f: not CSV: "),
        ("[1]", "f: an array of objects is expected"),
        ("[{", "f:1: not JSON"),
        ("", "f: there is no pdq entry in it (it is empty)"),
        ("url https://example.com\n", "f: there is no pdq entry in it (1 of the kind 'url')"),
        (f"{A}\n", "there is no pdq entry"),
    ],
    ids=[
        "our CSV", "dataset CSV", "not hex", "JSON", "no hash", "signal lines", "no CSV", "no objects",
        "no JSON", "empty", "nothing for us", "no kind",
    ],
)  # fmt: skip
def test_bad_files_are_refused(text: str, problem: str) -> None:
    """With line, or item, and reason; a list is never made of a part."""
    with pytest.raises(BadListError) as refused:
        import_entries("f", text, "pdq")
    assert problem in str(refused.value)
