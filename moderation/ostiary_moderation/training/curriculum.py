"""What a training batch asks, as tokens: both policy questions, three attributes, one description."""

from __future__ import annotations

import random
from collections.abc import Sequence

from ostiary_moderation.bundle import UNKNOWN, Manifest
from ostiary_moderation.engines.qwen3_vl.processor import ImageOnlyProcessor
from ostiary_moderation.engines.qwen3_vl.prompts import attribute_question, visible_attributes
from ostiary_moderation.training.describing import describe
from ostiary_moderation.training.feed import NONE, Batch
from ostiary_moderation.training.gallery import LABELS
from ostiary_moderation.training.library import LANGUAGES
from ostiary_moderation.training.packing import Pack, pack

ALWAYS = ("category", "colour")  # asked in every batch; the others take turns
Tokens = tuple[tuple[int, ...], list[tuple[int, ...]]]  # of a question, and of each example's answer


class Curriculum:
    """Turns batches into packed sequences, in exactly the tokens that serving will use."""

    def __init__(self, manifest: Manifest, processor: ImageOnlyProcessor, seed: int) -> None:
        self._manifest = manifest
        self._processor = processor
        self._rng = random.Random(seed)  # noqa: S311 - drawing needs no secrets
        self._names = visible_attributes(manifest.attributes)
        self._frame = processor.frame(manifest.prompts.system_in("en"))
        before, _, after = self._frame.before.partition("<|image_pad|>")
        self._before, self._after = processor.encode(before), processor.encode(after)
        self._image_token = processor.single("<|image_pad|>")

    @property
    def verdict_tokens(self) -> list[int]:
        """The tokens of yes and of no."""
        words = self._manifest.prompts.answers
        return [self._processor.single(words.yes), self._processor.single(words.no)]

    def pack(self, batch: Batch) -> Pack:
        """The batch's questions and true answers."""
        names = [*ALWAYS, self._rng.choice([name for name in self._names if name not in ALWAYS])]
        language = self._rng.choice(LANGUAGES)
        branches = [self._policy(batch, index) for index in range(len(self._manifest.questions))]
        branches += [*(self._attribute(batch, name) for name in names), self._description(batch, language)]
        return pack(self._before, self._image_token, batch.grid, self._after, branches)

    def _branch(self, question: str, answers: Sequence[str]) -> Tokens:
        encode = self._processor.encode
        return encode(self._frame.question(question)), [encode(answer) for answer in answers]

    def _policy(self, batch: Batch, index: int) -> Tokens:
        words = self._manifest.prompts.answers
        answers = [words.yes if flag else words.no for flag in batch.flags[:, index]]
        return self._branch(self._manifest.questions[index].wording("general", "en"), answers)

    def _attribute(self, batch: Batch, name: str) -> Tokens:
        options = self._manifest.attributes[name]
        letters = [chr(ord("A") + options.index(_value(name, index))) for index in batch.labels[name]]
        return self._branch(attribute_question(self._manifest, name, "en"), letters)

    def _description(self, batch: Batch, language: str) -> Tokens:
        columns = [[_value(name, index) for index in batch.labels[name]] for name in LABELS]
        texts = [describe(language, *labels) + "<|im_end|>" for labels in zip(*columns, strict=True)]
        return self._branch(self._manifest.prompts.describe_in(language), texts)


def _value(name: str, index: int) -> str:
    return UNKNOWN if index == NONE else LABELS[name][index]
