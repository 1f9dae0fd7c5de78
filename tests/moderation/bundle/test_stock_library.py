"""The stock prompt library: complete, in both languages, and fit for a manifest."""

from __future__ import annotations

from collections import Counter

import pytest

from ostiary_moderation.bundle import ATTRIBUTES, MAX_OPTIONS, PROMPT_CATEGORIES, UNKNOWN, Prompts, Question
from ostiary_moderation.library import stock_attributes, stock_prompts, stock_questions

QUESTIONS = [Question.model_validate(question) for question in stock_questions()]
PROMPTS = Prompts.model_validate(stock_prompts())
LABELS = {
    "nudity": {"explicit", "partial", "suggestive", "underwear_swimwear"},
    "logo_infringement": {"unauthorised_brand", "unclear_authorisation"},
    "prohibited_ads": {
        "qr_code", "contact_details", "off_platform", "absolute_claim", "medical_claim", "prohibited_goods",
    },
}  # fmt: skip


def test_every_label_that_a_picture_can_show_has_a_question() -> None:
    """`authorised_brand` is the registry's to say, not the model's."""
    asked: dict[str, set[str]] = {}
    for question in QUESTIONS:
        asked.setdefault(question.policy, set()).add(question.label)
    assert asked == LABELS


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.id)
def test_a_question_is_one_question_in_both_languages(question: Question) -> None:
    """For each category that it knows, and in general; a yes or no answers it."""
    assert "general" in question.text
    assert set(question.text) <= set(PROMPT_CATEGORIES)
    for texts in question.text.values():
        assert set(texts) == {"en", "zh"}
        assert (texts["en"].count("?"), texts["en"][-1]) == (1, "?")
        assert (texts["zh"].count("？"), texts["zh"][-1]) == (1, "？")


def test_every_category_is_described_in_both_languages() -> None:
    """Along colour, style, material, audience, scene and styling."""
    assert set(PROMPTS.describe) == set(PROMPT_CATEGORIES)
    for category in PROMPT_CATEGORIES:
        english, chinese = PROMPTS.describe_in("en", category), PROMPTS.describe_in("zh", category)
        asked = ("colour", "style", "for", "shown")
        assert not [word for word in asked if word not in english]
        assert "material" in english or "fabric" in english
        assert not [word for word in ("颜色", "风格", "人", "场景") if word not in chinese]
        assert "材质" in chinese or "面料" in chinese


def test_attributes_can_be_lettered() -> None:
    """All eight, in order, each with `unknown` last, few enough for an alphabet, and asked in both
    languages.
    """
    values = stock_attributes()
    assert tuple(values) == ATTRIBUTES
    for name, options in values.items():
        assert options[-1] == UNKNOWN
        assert len(set(options)) == len(options) <= MAX_OPTIONS
        assert set(PROMPTS.attribute[name]) == {"en", "zh"}


def test_a_category_word_leads_to_one_category() -> None:
    """No word stands in two lists."""
    words = Counter(word.casefold() for words in PROMPTS.categories.values() for word in words)
    assert not [word for word, count in words.items() if count > 1]


@pytest.mark.parametrize(
    ("listing", "category"),
    [
        ("T恤", "apparel"),
        ("女装/连衣裙", "apparel"),
        ("sneakers", "shoes"),
        ("Men > Shoes > Running Shoes", "shoes"),
        ("手机壳", "digital"),
        ("Home & Garden > Lamps", "home"),
        ("四件套", "home"),
        ("口红", "beauty"),
        ("Pet food", "general"),
    ],
)
def test_what_sellers_call_categories_is_understood(listing: str, category: str) -> None:
    """In Chinese and in English, alone and in paths."""
    assert PROMPTS.category_of(listing) == category
