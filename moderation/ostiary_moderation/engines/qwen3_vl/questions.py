"""A bundle's questions as branches, and logits at their ends as answers. Pure but for the tokenizer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_uppercase

import numpy as np
from numpy.typing import NDArray

from ostiary_moderation.bundle import UNKNOWN, Manifest, Question
from ostiary_moderation.engine import AttributeValue, ListingText, QuestionScore
from ostiary_moderation.engines.qwen3_vl.processor import ImageOnlyProcessor
from ostiary_moderation.engines.qwen3_vl.prompts import ChatFrame, attribute_question, visible_attributes


@dataclass(frozen=True)
class Branch:
    """A question behind a prefix. `tokens`: what is fed; `answers`: the tokens whose logits at its end are
    wanted.
    """

    tokens: tuple[int, ...]
    answers: tuple[int, ...]


class QuestionBook:
    """Every question of a manifest, in tokens. Raises BundleError when an answer is not a single token."""

    def __init__(self, manifest: Manifest, processor: ImageOnlyProcessor) -> None:
        self._manifest = manifest
        self._processor = processor
        self._visible = visible_attributes(manifest.attributes)
        words = manifest.prompts.answers
        self._verdicts = (processor.single(words.yes), processor.single(words.no))
        longest = max((len(manifest.attributes[name]) for name in self._visible), default=0)
        self._letters = tuple(processor.single(letter) for letter in ascii_uppercase[:longest])

    def frame(self, listing: ListingText) -> ChatFrame:
        """The conversation that the questions about a listing stand in."""
        return self._processor.frame(self._manifest.prompts.system_in(listing.language))

    def policy_branches(self, listing: ListingText, frame: ChatFrame) -> list[Branch]:
        """One branch per policy question, in the manifest's order."""
        texts = [
            question.wording(listing.category.lower(), listing.language)
            for question in self._manifest.questions
        ]
        return [self._branch(frame, text, self._verdicts) for text in texts]

    def attribute_branches(self, listing: ListingText, frame: ChatFrame) -> list[Branch]:
        """One branch per attribute that the bundle can see, in the manifest's order."""
        texts = [attribute_question(self._manifest, name, listing.language) for name in self._visible]
        letters = [self._letters[: len(self._manifest.attributes[name])] for name in self._visible]
        return [self._branch(frame, text, tokens) for text, tokens in zip(texts, letters, strict=True)]

    def describe_tokens(self, language: str, frame: ChatFrame) -> tuple[int, ...]:
        """Tokens of the instruction to describe the product."""
        return self._processor.encode(frame.question(self._manifest.prompts.describe_in(language)))

    def scores(self, logits: Sequence[NDArray[np.float32]], image_index: int) -> list[QuestionScore]:
        """Scores from the (yes, no) logits of every policy branch on one image."""
        pairs = zip(self._manifest.questions, logits, strict=True)
        return [_score(question, float(pair[0]) - float(pair[1]), image_index) for question, pair in pairs]

    def attributes(self, logits: Sequence[NDArray[np.float32]]) -> list[AttributeValue]:
        """All eight attributes, from the letters' logits of those that the bundle can see."""
        seen = dict(zip(self._visible, logits, strict=True))
        return [
            choose(name, values, seen[name]) if name in seen else AttributeValue(name, UNKNOWN, 0.0)
            for name, values in self._manifest.attributes.items()
        ]

    def _branch(self, frame: ChatFrame, text: str, answers: tuple[int, ...]) -> Branch:
        return Branch(self._processor.encode(frame.question(text)), answers)


def choose(name: str, values: Sequence[str], logits: NDArray[np.float32]) -> AttributeValue:
    """The likeliest value; its confidence is its share among the letters."""
    weights = np.exp(logits.astype(np.float64) - float(logits.max()))
    shares = weights / weights.sum()
    ranking = tuple((values[index], float(shares[index])) for index in np.argsort(-shares, kind="stable"))
    return AttributeValue(name, *ranking[0], ranking)


def _score(question: Question, margin: float, image_index: int) -> QuestionScore:
    if not math.isfinite(margin):
        raise ArithmeticError(
            f"question {question.id}: the model answered {margin}, which is no number to judge by"
        )
    probability = question.calibration.probability(margin)
    return QuestionScore(question.policy, question.label, question.id, image_index, probability, margin)
