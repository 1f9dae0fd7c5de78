"""Whether a bundle's prompts fit its tokenizer and its model. A refusal says which field, and what to do."""

from __future__ import annotations

from collections import Counter
from itertools import product
from string import ascii_uppercase
from typing import Any

from ostiary_moderation.bundle import BundleError, Manifest
from ostiary_moderation.engines.qwen3_vl.processor import ImageOnlyProcessor
from ostiary_moderation.engines.qwen3_vl.prompts import ChatFrame, attribute_question, visible_attributes

# Special tokens → the field of config.json that holds their id.
_MARKS = {
    "<|image_pad|>": "image_token_id",
    "<|vision_start|>": "vision_start_token_id",
    "<|vision_end|>": "vision_end_token_id",
}


def check_answers(manifest: Manifest, processor: ImageOnlyProcessor) -> None:
    """Every answer must be one token, and no two the same. Raises BundleError."""
    words = manifest.prompts.answers
    letters = ascii_uppercase[: max(len(values) for values in manifest.attributes.values())]
    fields = {"prompts.answers.yes": words.yes, "prompts.answers.no": words.no}
    fields |= {f"attributes (letter {letter})": letter for letter in letters}
    for field, answer in fields.items():
        tokens = processor.encode(answer)
        if len(tokens) != 1:
            raise BundleError(
                f"{field}: answer {answer!r} is {len(tokens)} tokens of this tokenizer; every answer must be "
                "one: choose another word, or use the tokenizer that the weights were trained with"
            )
    if processor.encode(words.yes) == processor.encode(words.no):
        raise BundleError("prompts.answers: yes and no are the same token; nothing could be told apart")


def check_marks(processor: ImageOnlyProcessor, config: Any) -> None:
    """The tokenizer must write the image's marks as the model reads them. Raises BundleError."""
    for mark, field in _MARKS.items():
        tokens, wanted = processor.encode(mark), getattr(config, field, None)
        if tokens != (wanted,):
            raise BundleError(
                f"config.json: {field} is {wanted}, but tokenizer.json makes {list(tokens)} of {mark}: "
                "the two are not of one checkpoint"
            )


def check_opening(frame: ChatFrame) -> None:
    """The first word must be the answer. Raises BundleError for a template that opens a train of thought."""
    if "<think>" in frame.after:
        raise BundleError(
            "chat template: opens with <think>, so that the first word is no answer: "
            "give an Instruct checkpoint"
        )


def check_lengths(manifest: Manifest, processor: ImageOnlyProcessor, cell: int, config: Any) -> None:
    """Rulebook, image, all questions and a description must fit the context, and one forward pass.

    Raises BundleError, naming the category and language that are the longest.
    """
    pixels = (manifest.pixels.closer or manifest.pixels).max_pixels
    image = -(-pixels // (cell * cell))
    context = int(config.get_text_config().max_position_embeddings)
    for language, category in product(*_spoken(manifest)):
        parts = _tokens(manifest, processor, language, category) | {"image": image}
        total = sum(parts.values())
        where = f"prompts in {language!r} for {category!r}"
        said = ", ".join(f"{name} {count}" for name, count in sorted(parts.items()))
        if total > context:
            raise BundleError(
                f"bundle.yaml: {where} take {total} tokens ({said}), the context is {context}: shorten "
                "them, ask less, or lower pixels.max_pixels"
            )
        packed = total - parts["description, written"] - parts["rulebook"]
        if packed > manifest.batching.prefill_tokens:
            raise BundleError(
                f"bundle.yaml: {where} put {packed} tokens into one forward pass ({said}); "
                f"batching.prefill_tokens is {manifest.batching.prefill_tokens}: raise it, or ask less"
            )


def _spoken(manifest: Manifest) -> tuple[list[str], list[str]]:
    """Languages and prompt categories that any text of the manifest is in."""
    prompts = manifest.prompts
    texts = [
        *prompts.describe.values(),
        *(text for each in manifest.questions for text in each.text.values()),
    ]
    texts += [prompts.system, *prompts.attribute.values()]
    categories = {*prompts.describe, *(name for question in manifest.questions for name in question.text)}
    return sorted({language for text in texts for language in text}), sorted(categories)


def _tokens(
    manifest: Manifest, processor: ImageOnlyProcessor, language: str, category: str
) -> dict[str, int]:
    """How many tokens each part of a check takes."""
    frame = processor.frame(manifest.prompts.system_in(language))

    def count(text: str) -> int:
        return len(processor.encode(frame.question(text)))

    parts: Counter[str] = Counter({"rulebook": len(processor.encode(frame.before))})
    parts["questions"] = sum(count(question.wording(category, language)) for question in manifest.questions)
    names = visible_attributes(manifest.attributes)
    parts["attributes"] = sum(count(attribute_question(manifest, name, language)) for name in names)
    settings = manifest.description
    parts["description, asked"] = count(manifest.prompts.describe_in(language, category)) if settings else 0
    parts["description, written"] = settings.max_new_tokens if settings else 0
    return parts
