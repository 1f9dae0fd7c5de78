"""A text as a row of words, and how much two of them are alike."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostiary_moderation.wordmarks.common import is_common
from ostiary_moderation.wordmarks.distance import distance, skeletons
from ostiary_moderation.wordmarks.words import words


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        pytest.param("The North Face", ["the", "north", "face"], id="spaces"),
        pytest.param("COCA-COLA", ["coca", "cola"], id="hyphen"),
        pytest.param("Levi’s®", ["levis"], id="apostrophe and sign"),
        pytest.param("CalvinKlein", ["calvin", "klein"], id="capital after a small letter"),
        pytest.param("ADlDAS", ["adl", "das"], id="small letter among capitals"),
        pytest.param("ＮＩＫＥ", ["nike"], id="full width"),
        pytest.param("Hermès", ["hermes"], id="accent"),
        pytest.param("ΝΙΚΕ", ["nike"], id="Greek capitals"),
        pytest.param("АDIDАS", ["adidas"], id="Cyrillic look-alikes"),
        pytest.param("JØRGEN", ["jorgen"], id="stroke"),
        pytest.param("N I K E", ["nike"], id="letters set apart"),
        pytest.param("A.P.C.", ["apc"], id="initials"),
        pytest.param("A B", ["a", "b"], id="two letters are no word"),
        pytest.param("Dolce and Gabbana", ["dolce", "&", "gabbana"], id="and"),
        pytest.param("H&M", ["h", "&", "m"], id="ampersand"),
        pytest.param("& Sons &", ["sons"], id="ampersands around"),
        pytest.param("Pull + Bear", ["pull", "&", "bear"], id="plus"),
        pytest.param("NIKE2024", ["nike", "2024"], id="a number behind"),
        pytest.param("N1KE", ["n1ke"], id="a digit for a letter"),
        pytest.param("GUCC1", ["gucc1"], id="a digit at the end"),
        pytest.param("ADID@S", ["adidas"], id="a sign for a letter"),
        pytest.param("$upreme", ["supreme"], id="a sign in front"),
        pytest.param("NIKE!", ["nike"], id="a sign behind is no letter"),
        pytest.param("耐克鞋 Nike", ["耐", "克", "鞋", "nike"], id="Chinese"),
        pytest.param("愛馬仕", ["爱", "马", "仕"], id="traditional Chinese"),
        pytest.param("ｱﾃﾞｨﾀﾞｽ", ["ア", "デ", "ィ", "ダ", "ス"], id="half-width Japanese"),
        pytest.param("361°", ["361"], id="a number"),
        pytest.param("… ★ —", [], id="nothing"),
    ],
)
def test_words_are_set_apart_and_folded(text: str, keys: list[str]) -> None:
    """Case, width, accents, look-alikes of other scripts and decoration make no difference."""
    assert [word.key for word in words(text)] == keys


@pytest.mark.parametrize(
    ("text", "glued"),
    [
        ("Calvin Klein", [False, False]),
        ("CalvinKlein", [False, True]),
        ("NIKE2024", [False, True]),
        ("耐克", [False, True]),
        ("Nike 耐", [False, False]),
    ],
)
def test_words_know_what_sets_them_apart(text: str, glued: list[bool]) -> None:
    """A boundary without a gap is a weaker one."""
    assert [word.glued for word in words(text)] == glued


@pytest.mark.parametrize(("text", "signed"), [("Nike®", True), ("NIKE™ air", True), ("Nike air", False)])
def test_a_sign_says_that_a_word_is_a_mark(text: str, signed: bool) -> None:
    """® and ™ are no letters, and count."""
    assert words(text)[0].signed is signed


@given(st.text(max_size=60))
def test_every_word_has_its_place(text: str) -> None:
    """Any text has words with letters, in order, whose places lie within it."""
    found = words(text)
    assert all(word.key for word in found)
    assert all(0 <= word.start < word.end <= len(text) for word in found)
    assert [word.start for word in found] == sorted(word.start for word in found)


@pytest.mark.parametrize(
    ("read", "registered", "cost"),
    [
        ("adidas", "adidas", 0.0),
        ("addidas", "adidas", 0.3),
        ("adidaas", "adidas", 0.3),
        ("guci", "gucci", 0.3),
        ("n1ke", "nike", 0.25),
        ("adldas", "adidas", 0.25),
        ("gucc1", "gucci", 0.25),
        ("0ff", "off", 0.25),
        ("charn", "cham", 0.25),
        ("vvrangler", "wrangler", 0.25),
        ("aclidas", "adidas", 0.25),
        ("adadis", "adidas", 1.6),
        ("gucce", "gucci", 0.8),
        ("nkie", "nike", 0.7),
        ("sport", "snort", 1.0),
        ("vibes", "viber", 1.0),
        ("dolce&gabbana", "dolcegabbana", 0.3),
    ],
)
def test_what_looks_alike_is_near(read: str, registered: str, cost: float) -> None:
    """Look-alikes, doubled letters and exchanged ones cost less than other letters, either way round."""
    assert distance(read, registered, most=2.0) == pytest.approx(cost)
    assert distance(registered, read, most=2.0) == pytest.approx(cost)


def test_what_is_too_far_is_infinitely_far() -> None:
    """Nobody has to compare a distance with a limit that was given before."""
    assert distance("levis", "level", most=1.0) == float("inf")


_LETTERS = st.text("abceilmnorsuv0135&", max_size=9)


@given(_LETTERS, _LETTERS)
def test_distances_are_distances(one: str, other: str) -> None:
    """The same both ways, nothing only between equals, and never more than to write it anew."""
    there, back = distance(one, other, most=99.0), distance(other, one, most=99.0)
    assert there == pytest.approx(back)
    assert (there == 0) == (one == other)
    assert there <= max(len(one), len(other)) or abs(len(one) - len(other)) > 4


@given(_LETTERS, _LETTERS, st.floats(0, 3))
def test_a_limit_only_cuts_off(one: str, other: str, most: float) -> None:
    """Within the limit the distance is what it is without one."""
    full = distance(one, other, most=99.0)
    assert distance(one, other, most) == (full if full <= most else float("inf"))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("n1ke", "nike"),
        ("addidas", "adidas"),
        ("adldas", "adidas"),
        ("gucc1", "guci"),
        ("charn", "cham"),
        ("h&m", "hm"),
    ],
)
def test_skeletons_leave_look_alikes_out(one: str, other: str) -> None:
    """What is only drawn otherwise is looked up in the same place."""
    assert set(skeletons(one)) & set(skeletons(other))


@pytest.mark.parametrize(
    ("word", "common"),
    [
        ("gap", True),
        ("vans", True),
        ("running", True),
        ("stories", True),
        ("1987", True),
        ("苹果", True),
        ("adidas", False),
        ("levis", False),
        ("耐克", False),
        ("", False),
    ],
)
def test_common_words_are_known_in_every_form(word: str, common: bool) -> None:
    """Plurals and other endings of a common word, and numbers, are common too."""
    assert is_common(word) is common
