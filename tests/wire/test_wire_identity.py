"""SPIFFE IDs: what the strict parser takes, and that it takes nothing else."""

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import forge
from ostiary.wire.identity import SpiffeId, check_trust_domain, spiffe_id_of

LOWER = string.ascii_lowercase + string.digits
trust_domains = st.text(LOWER + "._-", min_size=1, max_size=40)
segments = st.text(string.ascii_letters + string.digits + "._-", min_size=1, max_size=20).filter(
    lambda segment: segment not in (".", "..")
)
paths = st.lists(segments, min_size=1, max_size=6).map(lambda parts: "/" + "/".join(parts))

# Written from the SPIFFE-ID specification, independently of the parser.
ORACLE = re.compile(
    r"spiffe://[a-z0-9._-]{1,255}(?:/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._-]+)+", re.ASCII | re.DOTALL
)


@given(trust_domains, paths)
def test_round_trip(trust_domain: str, path: str) -> None:
    """Every well-formed ID parses into its parts and back into the same text."""
    spiffe_id = SpiffeId(trust_domain, path)
    assert SpiffeId.parse(str(spiffe_id)) == spiffe_id


near_misses = st.lists(
    st.sampled_from(
        [
            "spiffe://",
            "SPIFFE://",
            "td",
            "a.b",
            "/",
            "//",
            ".",
            "..",
            "?",
            "#",
            "@",
            ":",
            "%2e",
            "é",
            "x",
            " ",
            "\n",
        ]
    ),
    max_size=9,
).map("".join)


@given(near_misses | near_misses.map(lambda text: "spiffe://td/" + text) | st.text(max_size=60))
def test_agrees_with_the_specification(text: str) -> None:
    """Text is accepted exactly if an independently written grammar accepts it."""
    wanted = ORACLE.fullmatch(text) is not None
    try:
        parsed = SpiffeId.parse(text)
    except ValueError:
        assert not wanted
    else:
        assert wanted
        assert str(parsed) == text


REFUSED = {
    "empty": "",
    "no scheme": "wire.test/role",
    "other scheme": "https://wire.test/role",
    "upper-case scheme": "SPIFFE://wire.test/role",
    "upper-case trust domain": "spiffe://Wire.test/role",
    "no trust domain": "spiffe:///role",
    "no path": "spiffe://wire.test",
    "root path": "spiffe://wire.test/",
    "trailing slash": "spiffe://wire.test/role/",
    "port": "spiffe://wire.test:8443/role",
    "user": "spiffe://root@wire.test/role",
    "query": "spiffe://wire.test/role?x=1",
    "fragment": "spiffe://wire.test/role#x",
    "empty segment": "spiffe://wire.test//role",
    "dot": "spiffe://wire.test/./role",
    "dots": "spiffe://wire.test/tenant/../role",
    "percent": "spiffe://wire.test/r%6fle",
    "space": "spiffe://wire.test/ro le",
    "new line": "spiffe://wire.test/role\n",
    "NUL": "spiffe://wire.test/role\0",
    "full-width": "spiffe://wire.test/ｒole",
    "too long": "spiffe://wire.test/" + "a" * 2048,
    "trust domain too long": f"spiffe://{'a' * 256}/role",
}


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED.keys())
def test_refused(text: str) -> None:
    """What is not strictly a SPIFFE ID of a workload is a ValueError."""
    with pytest.raises(ValueError, match=r"SPIFFE ID|trust domain"):
        SpiffeId.parse(text)


def test_longest() -> None:
    """An ID of exactly 2,048 bytes is accepted."""
    text = "spiffe://wire.test/"
    assert len(str(SpiffeId.parse(text + "a" * (2048 - len(text))))) == 2048


def test_ids_sort_and_hash() -> None:
    """IDs can be members of sets and be listed in order."""
    ids = {SpiffeId("b", "/x"), SpiffeId("a", "/y"), SpiffeId.parse("spiffe://a/y")}
    assert [str(each) for each in sorted(ids)] == ["spiffe://a/y", "spiffe://b/x"]


def test_certificate_needs_exactly_one_uri() -> None:
    """A certificate's ID is its only URI name; the common name is nothing."""
    root = forge.authority()
    assert spiffe_id_of(forge.leaf(root, "spiffe://a/b").certificate) == SpiffeId("a", "/b")
    for holder, count in (
        (forge.leaf(root, common_name="spiffe://a/b"), 0),
        (forge.leaf(root, "spiffe://a/b", "spiffe://a/c"), 2),
    ):
        with pytest.raises(ValueError, match=f"has {count} URI names"):
            spiffe_id_of(holder.certificate)


def test_trust_domain_alone() -> None:
    """The check of a trust domain returns it, and names it when it is bad."""
    assert check_trust_domain("ostiary.local") == "ostiary.local"
    with pytest.raises(ValueError, match="'Ostiary'"):
        check_trust_domain("Ostiary")
