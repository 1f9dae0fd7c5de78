"""A bundle's questions as packs of tokens, and the logits at their ends as answers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from string import ascii_uppercase

import numpy as np
from numpy.typing import NDArray

from ostiary_moderation.bundle import NEUTRAL, UNKNOWN, Manifest, Question, ValueCalibration
from ostiary_moderation.engine import AttributeValue, ListingText, QuestionScore
from ostiary_moderation.engines.qwen3_vl.packs import Branch, Pack
from ostiary_moderation.engines.qwen3_vl.processor import ImageOnlyProcessor
from ostiary_moderation.engines.qwen3_vl.prompts import ChatFrame, attribute_question, visible_attributes

_WORDINGS_KEPT = 1024  # listings' words for categories and languages are the callers' own


@dataclass(frozen=True)
class Wants:
    """What is asked about an image. `description`: the language to write it in; None for no description."""

    flags: bool
    attributes: bool
    description: str | None


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
        self._frames: dict[str, ChatFrame] = {}
        self._packs: dict[tuple[object, ...], Pack] = {}
        self._cached = lru_cache(_WORDINGS_KEPT)(self._pack)

    def pack(self, listing: ListingText, wants: Wants) -> Pack:
        """What is asked about an image of a listing; the same object for the same tokens."""
        return self._cached(listing.category, listing.language, wants)

    def language(self, asked: str) -> str:
        """The language to describe in: the one asked for where the bundle has it, else the bundle's first."""
        settings = self._manifest.description
        spoken = settings.languages if settings else ("en",)
        return next((language for language in (asked, asked.split("-")[0]) if language in spoken), spoken[0])

    def longest_prompt(self, image: int) -> int:
        """Most tokens before a description, with an image of so many."""
        prompts = self._manifest.prompts
        frames = [self._frame(text) for text in prompts.system.values()]
        texts = [text for by_language in prompts.describe.values() for text in by_language.values()]
        described = max(len(self._tokens(frame, text)) for frame in frames for text in texts)
        surroundings = (self._processor.around_image(frame) for frame in frames)
        return image + described + max(len(before) + len(after) for before, after in surroundings)

    def frame(self, language: str) -> ChatFrame:
        """The conversation that questions in a language stand in."""
        return self._frame(self._manifest.prompts.system_in(language))

    def scores(self, logits: Sequence[NDArray[np.float32]], image_index: int) -> list[QuestionScore]:
        """Scores from the (yes, no) logits of every policy question on one image. Raises ArithmeticError."""
        pairs = zip(self._manifest.questions, logits, strict=True)
        return [_score(question, float(pair[0]) - float(pair[1]), image_index) for question, pair in pairs]

    def attributes(self, logits: Sequence[NDArray[np.float32]]) -> list[AttributeValue]:
        """All eight attributes, from the letters' logits of those that the bundle can see. Raises
        ArithmeticError.
        """
        seen = dict(zip(self._visible, logits, strict=True))
        floors, calibrations = self._manifest.attribute_floor, self._manifest.attribute_calibration
        return [
            choose(name, values, seen[name], floors.get(name, 0.0), calibrations.get(name, NEUTRAL))
            if name in seen
            else AttributeValue(name, UNKNOWN, 0.0)
            for name, values in self._manifest.attributes.items()
        ]

    def _pack(self, category: str, language: str, wants: Wants) -> Pack:
        manifest, frame = self._manifest, self.frame(language)
        kind = manifest.prompts.category_of(category)
        describe = None
        if wants.description is not None:
            text = manifest.prompts.describe_in(wants.description, kind)
            describe = Branch(self._tokens(frame, text))
        questions: list[Branch] = []
        if wants.flags:
            texts = [question.wording(kind, language) for question in manifest.questions]
            questions += [Branch(self._tokens(frame, text), self._verdicts) for text in texts]
        if wants.attributes:
            questions += [self._attribute(frame, name, language) for name in self._visible]
        before, after = self._processor.around_image(frame)
        content = (before, after, describe, tuple(questions))
        return self._packs.setdefault(content, Pack(*content))

    def _attribute(self, frame: ChatFrame, name: str, language: str) -> Branch:
        text = attribute_question(self._manifest, name, language)
        return Branch(self._tokens(frame, text), self._letters[: len(self._manifest.attributes[name])])

    def _tokens(self, frame: ChatFrame, text: str) -> tuple[int, ...]:
        return self._processor.encode(frame.question(text))

    def _frame(self, system: str) -> ChatFrame:
        if system not in self._frames:
            self._frames[system] = self._processor.frame(system)
        return self._frames[system]


def choose(
    name: str,
    values: Sequence[str],
    logits: NDArray[np.float32],
    floor: float = 0.0,
    calibration: ValueCalibration = NEUTRAL,
) -> AttributeValue:
    """The likeliest value; its confidence is its calibrated probability. Below `floor` it is `unknown`.

    Raises ArithmeticError where a logit is not a number.
    """
    if not np.isfinite(logits).all():
        raise ArithmeticError(f"attribute {name}: the model's answer is no number to choose by")
    shares = calibration.probabilities(values, logits)
    ranking = tuple((values[index], float(shares[index])) for index in np.argsort(-shares, kind="stable"))
    likeliest = AttributeValue(name, *ranking[0], ranking)
    return likeliest if likeliest.confidence >= floor else replace(likeliest, value=UNKNOWN)


def _score(question: Question, margin: float, image_index: int) -> QuestionScore:
    if not math.isfinite(margin):
        raise ArithmeticError(
            f"question {question.id}: the model answered {margin}, which is no number to judge by"
        )
    probability = question.calibration.probability(margin)
    return QuestionScore(question.policy, question.label, question.id, image_index, probability, margin)
