"""What a listing claims, by the words of a policy's vocabulary."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostiary.v1.config_pb2 import Term, Vocabulary
from ostiary.v1.listing_pb2 import Listing
from ostiary_gateway.policy.vocabulary import Words, compiled

WORDS = compiled(
    Vocabulary(
        categories=[
            Term(name="shoes", words=["shoe", "boot", "鞋"], seen=["shoes"]),
            Term(name="shirts", words=["shirt", "t-shirt", "T恤", "衬衫"], seen=["shirt", "top"]),
            Term(name="dresses", words=["dress", "连衣裙"], seen=["dress"]),
            Term(name="skirts", words=["skirt", "裙"], seen=["skirt"]),
            Term(name="anything", words=["shoe rack", "鞋架", "set"]),
        ],
        colours=[
            Term(name="blue", words=["blue", "navy", "蓝色"], seen=["blue", "black"]),
            Term(name="red", words=["red", "红色"], seen=["red"]),
            Term(name="any", words=["off-white"]),
        ],
    )
)


@pytest.mark.parametrize(
    ("category", "terms", "words"),
    [
        ("Shoes", {"shoes"}, ("Shoes",)),
        ("women > SHOES > Ankle boots", {"shoes"}, ("boots",)),
        ("Clothing > Dresses", {"dresses"}, ("Dresses",)),
        ("Tees, T Shirts", {"shirts"}, ("T Shirts",)),
        ("tshirt", {"shirts"}, ("tshirt",)),
        ("Ｔ恤", {"shirts"}, ("Ｔ恤",)),
        ("襯衫", {"shirts"}, ("襯衫",)),
        ("女装/连衣裙", {"dresses"}, ("连衣裙",)),
        ("裙", {"skirts"}, ("裙",)),
        ("Shirts & Shoes", {"shirts", "shoes"}, ("Shirts", "Shoes")),
        ("Shoe racks", {"anything"}, ("Shoe racks",)),
        ("鞋架", {"anything"}, ("鞋架",)),
        ("Shoes > Summer sale", {"shoes"}, ("Shoes",)),
    ],
)
def test_claimed_categories(category: str, terms: set[str], words: tuple[str, ...]) -> None:
    """The deepest level that is known, in the singular or the plural; of overlapping words the longest."""
    claim = WORDS.claimed_category(Listing(category=category))
    assert claim
    assert (claim.field, claim.terms, claim.words) == ("category", terms, words)


@pytest.mark.parametrize("category", ["", "Garden", "Horseshoe", "Address book", "Skirting boards", ">>"])
def test_unknown_categories_claim_nothing(category: str) -> None:
    """A word within a word is another word."""
    assert WORDS.claimed_category(Listing(category=category)) is None


def test_conditions_see_every_level() -> None:
    """For steps a listing is in all categories that it mentions, whatever their level."""
    assert WORDS.categories_of(Listing(category="Dresses > Skirts")) == {"dresses", "skirts"}
    assert WORDS.categories_of(Listing(title="Dress")) == set()


@pytest.mark.parametrize(
    ("title", "description", "terms", "field"),
    [
        ("Navy shirt", "", {"blue"}, "title"),
        ("红色连衣裙", "", {"red"}, "title"),
        ("Red and blue scarf", "", {"red", "blue"}, "title"),
        ("Shirt", "Colour: navy. Goes with red shoes", {"blue"}, "description"),
        ("衬衫", "颜色：红色\n尺码：M", {"red"}, "description"),
        ("Red shirt", "COLOR = blue", {"red", "blue"}, "title"),
        ("Off-white shirt", "", {"any"}, "title"),
    ],
)
def test_claimed_colours(title: str, description: str, terms: set[str], field: str) -> None:
    """What the title names, and what the description gives as the colour."""
    claim = WORDS.claimed_colour(Listing(title=title, description=description))
    assert claim
    assert (claim.terms, claim.field) == (terms, field)


@pytest.mark.parametrize(
    ("title", "description"),
    [
        ("Shirt", "Goes well with red shoes and a blue skirt"),
        ("Bluetooth speaker, hundred pieces", ""),
        ("网红同款", ""),
        ("Shirt", "Colours: see the pictures"),
    ],
)
def test_colours_in_passing_claim_nothing(title: str, description: str) -> None:
    """A colour that something else has, or that is a part of a word, is not the product's."""
    assert WORDS.claimed_colour(Listing(title=title, description=description)) is None


def test_what_agrees() -> None:
    """Values of all terms together; with a term that says nothing about looks, everything does."""
    assert WORDS.colours.agreeing({"blue", "red"}) == {"blue", "black", "red"}
    assert WORDS.colours.agreeing({"blue", "any"}) is None


@pytest.mark.parametrize(
    ("vocabulary", "words"),
    [
        (Vocabulary(categories=[Term(words=["a"])]), r"vocabulary.categories\[0\].name: a name of its own"),
        (
            Vocabulary(colours=[Term(name="a", words=["a"]), Term(name="a", words=["b"])]),
            r"vocabulary.colours\[1\].name",
        ),
        (Vocabulary(colours=[Term(name="a")]), r"vocabulary.colours\[0\].words: give at least one"),
        (Vocabulary(colours=[Term(name="a", words=[" - "])]), r"' - ' holds nothing"),
    ],
    ids=["no name", "a name twice", "no words", "an empty word"],
)
def test_a_bad_vocabulary_is_refused(vocabulary: Vocabulary, words: str) -> None:
    """With the place and the reason."""
    with pytest.raises(ValueError, match=words):
        compiled(vocabulary)


@given(text=st.text(max_size=60))
def test_any_text_can_be_asked(text: str) -> None:
    """No text fails, and what is claimed stands in the text."""
    for words in (WORDS, Words(WORDS.colours, WORDS.categories)):
        for mention in words.categories.mentions(text):
            assert mention.terms
            assert mention.words in text
