"""The prompt library of a bundle: rulebook, policy questions, descriptions, attributes. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, field_validator

from ostiary_moderation.bundle.calibration import Calibration
from ostiary_moderation.bundle.schema import Identifier, Strict

FALLBACK_LANGUAGE = "en"
FALLBACK_CATEGORY = "general"
PROMPT_CATEGORIES = (FALLBACK_CATEGORY, "apparel", "shoes", "digital", "home", "beauty")

Text = Annotated[str, Field(min_length=1)]
Texts = Annotated[dict[str, Text], Field(min_length=1)]  # by language, BCP 47


def localised(texts: Mapping[str, str], language: str) -> str:
    """The text in a BCP 47 language: exact, then primary subtag (`zh-CN` → `zh`), then English, then the
    first.
    """
    for key in (language, language.split("-")[0], FALLBACK_LANGUAGE):
        if key in texts:
            return texts[key]
    return next(iter(texts.values()))


def _speaks(texts: Mapping[str, str], language: str) -> bool:
    return language in texts or language.split("-")[0] in texts


class Question(Strict):
    """A yes/no question: yes is evidence for `policy`/`label`. Text by prompt category, then by language."""

    id: Identifier
    policy: Identifier
    label: Identifier
    text: Annotated[dict[str, Texts], Field(min_length=1)]
    calibration: Calibration = Calibration()

    def wording(self, category: str, language: str) -> str:
        """The text for a prompt category and a language, falling back to `general` and to English."""
        texts = self.text.get(category) or self.text.get(FALLBACK_CATEGORY) or next(iter(self.text.values()))
        return localised(texts, language)


class Answers(Strict):
    """Surface forms of the two answers. Each must be a single token of the bundle's tokenizer."""

    yes: str = "Yes"
    no: str = "No"


class Prompts(Strict):
    """Texts by language. `system` is the rulebook; `describe` goes by prompt category, then by language.

    `attribute` goes by attribute, then by language; `general` is for the rest and may hold the placeholder
    `{name}`. Lettered options follow it. `categories`: words that listing categories are called by, for each
    prompt category.
    """

    system: Texts
    describe: Annotated[dict[str, Texts], Field(min_length=1)]
    attribute: Annotated[dict[str, Texts], Field(min_length=1)]
    answers: Answers = Answers()
    categories: dict[str, tuple[Text, ...]] = Field(default_factory=dict)

    @field_validator("describe", "attribute", mode="before")
    @classmethod
    def _for_all(cls, value: Any) -> Any:
        """Plain texts by language are meant for every category, or attribute."""
        plain = isinstance(value, dict) and value and all(isinstance(text, str) for text in value.values())
        return {FALLBACK_CATEGORY: value} if plain else value

    @field_validator("describe")
    @classmethod
    def _with_general(cls, value: dict[str, Texts]) -> dict[str, Texts]:
        if FALLBACK_CATEGORY not in value:
            raise ValueError(f"add {FALLBACK_CATEGORY!r}, which products of every other category are given")
        return value

    def category_of(self, listing_category: str) -> str:
        """The prompt category of what a listing calls its category (`鞋靴`, `Women > Sneakers`, `shoes`).

        The longest known word in it counts, the last one of equals: paths go from the general to the special.
        `general` where there is none.
        """
        wanted = listing_category.casefold().strip()
        found = [
            (len(word), at, category)
            for category, word in self._known_words()
            if (at := _last_place(word, wanted)) is not None
        ]
        return max(found)[2] if found else FALLBACK_CATEGORY

    def _known_words(self) -> list[tuple[str, str]]:
        names = [(name, name) for name in {*PROMPT_CATEGORIES, *self.describe, *self.categories}]
        words = [(name, word.casefold()) for name, words in self.categories.items() for word in words]
        return names + words

    def system_in(self, language: str) -> str:
        """The rulebook in a language."""
        return localised(self.system, language)

    def describe_in(self, language: str, category: str = FALLBACK_CATEGORY) -> str:
        """Instruction to describe a product of a prompt category. The language counts for more than the
        category.
        """
        texts = self.describe.get(category, {})
        return localised(texts if _speaks(texts, language) else self.describe[FALLBACK_CATEGORY], language)

    def attribute_in(self, language: str, name: str) -> str:
        """Question for one attribute in a language, without its options."""
        texts = self.attribute.get(name) or self.attribute.get(FALLBACK_CATEGORY) or {}
        return localised(texts, language).replace("{name}", name)


def _last_place(word: str, text: str) -> int | None:
    """Where a word last stands in a text: as a whole word in scripts that space words, anywhere in others."""
    spaced = word.isascii()
    pattern = rf"(?<![a-z0-9]){re.escape(word)}(?![a-z0-9])" if spaced else re.escape(word)
    places = [match.start() for match in re.finditer(pattern, text)]
    return places[-1] if places else None
