"""The benchmark of the rules measures what it says it does."""

from bench.rules import every_rule, listings, made_pack, made_rules, report
from ostiary_gateway.rules.document import Document
from ostiary_gateway.rules.matcher import match_documents


def test_made_rules_match_what_they_were_made_for() -> None:
    """Both ways find the same statement among made-up rules."""
    written = made_rules(60)
    made = made_pack(written)
    for rule in written:
        assert every_rule(made.rules, made.words, rule.matches[0]) >= 1
        assert match_documents([made], [Document("description", rule.matches[0])])


def test_listings_have_their_length() -> None:
    """Texts are as long as their row says, and not all alike."""
    texts = listings(200, ["word"])
    assert {len(text) for text in texts} == {200}
    assert len(set(texts)) > 10


def test_the_bar_is_that_of_the_made_rules() -> None:
    """The row of 200 characters decides, and a run without it does not meet the bar."""
    row = {"packs": "made", "way": "automaton"}
    assert report([{**row, "ms_median": value} for value in (0.1, 1.5, 9.0)], {}).bars[0].value == 1.5
    assert not report([], {}).bars[0].met
