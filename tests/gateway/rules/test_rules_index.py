"""The index: what a pattern needs is read off it, and no rule is ever passed over that would have matched."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ostiary_gateway.rules import pack
from ostiary_gateway.rules.literals import needed_literals
from ostiary_gateway.rules.normal import read
from ostiary_gateway.rules.source import parse

PACKS = pack.shipped()
CASES = [
    text
    for written in map(parse, pack.shipped_texts().values())
    for rule in written.rules
    if not rule.formats
    for text in (*rule.matches, *rule.ignores)
]


@pytest.mark.parametrize(
    ("pattern", "literals"),
    [
        ("wechat", {"wechat"}),
        ("we ?chat", {"wechat", "we chat"}),
        ("最(?:佳|好)的?品质", {"最佳品质", "最好品质", "最佳的品质", "最好的品质"}),
        ("(?:wx|vx)[0-9]+", {"wx", "vx"}),
        ("(?<![a-z])viagra(?![a-z])", {"viagra"}),
        ("[0-9]{4,}@mail", {"@mail"}),
        ("a{2}b", {"aab"}),
        ("(?:abc)+", {"abc"}),
        ("(?:abc)*def", {"def"}),
        ("abc|def", {"abc", "def"}),
        ("(?>abc)x", {"abcx"}),
        ("a.*longest", {"longest"}),
        ("abc|[0-9]*", None),
        ("[a-z]+", None),
        ("[^a]", None),
        ("(?i)abc", None),
        ("(?i:abc)", None),
        (r"\d+\s\w", None),
        (".*", None),
        ("(?:abc)?", None),
        ("", None),
    ],
)
def test_what_a_pattern_needs(pattern: str, literals: set[str] | None) -> None:
    """Literals are told where they are certain, and nothing where they are not."""
    assert needed_literals(pattern) == (None if literals is None else frozenset(literals))


PARTS = st.recursive(
    st.sampled_from(
        ["a", "b", "ab", "[ab]", "[^a]", ".", "a?", "b*", "(?<!a)", "(?=b)", "^", r"\d", "ba{1,2}"]
    ),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=4).map("".join),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: f"(?:{'|'.join(parts)})"),
        inner.map(lambda part: f"(?:{part})+"),
        inner.map(lambda part: f"(?:{part}){{0,2}}"),
    ),
    max_leaves=8,
)


@settings(deadline=None)
@given(PARTS, st.text(st.sampled_from("ab1"), max_size=8))
def test_a_text_that_matches_holds_what_the_pattern_needs(pattern: str, text: str) -> None:
    """Whatever the pattern: without one of its literals there is no match."""
    literals = needed_literals(pattern)
    if literals is not None and re.search(pattern, text):
        assert any(literal in text for literal in literals)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.one_of(st.sampled_from(CASES), st.text(max_size=20)), max_size=4).map(" ".join))
def test_no_rule_is_passed_over(text: str) -> None:
    """With the index the same rules match as when every rule is tried."""
    for made in PACKS.values():
        reading = read(text, made.words).text
        tried = {rule.id for rule in made.rules if not rule.formats and rule.ranges(reading)}
        assert tried <= {rule.id for rule in made.index.candidates(reading)}


@pytest.mark.parametrize("name", PACKS)
def test_every_shipped_rule_is_indexed(name: str) -> None:
    """None of them has to be tried on every text."""
    assert not [rule.id for rule in PACKS[name].rules if rule.literals is None and not rule.formats]


def test_candidates_keep_the_order_of_the_pack() -> None:
    """The first rule of a pack is tried first, whatever stands first in the text."""
    ids = [rule.id for rule in PACKS["diversion"].rules]
    found = [rule.id for rule in PACKS["diversion"].index.candidates("t.me/lily lily@example.com 微信")]
    assert found == sorted(found, key=ids.index)
    assert {"contact.telegram", "contact.email", "contact.wechat_mention"} <= set(found)
