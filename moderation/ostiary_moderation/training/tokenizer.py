"""A small byte-level BPE tokenizer, trained from the texts that the project itself generates."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from ostiary_moderation.bundle import Manifest
from ostiary_moderation.engines.qwen3_vl.prompts import attribute_question, visible_attributes
from ostiary_moderation.training import library, wording
from ostiary_moderation.training.describing import describe
from ostiary_moderation.training.gallery import LABELS

VOCABULARY = 2048
SPECIAL = (
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>",
    "<|video_pad|>",
)  # fmt: skip
CHAT_TEMPLATE = (
    "{%- for message in messages %}<|im_start|>{{ message.role }}\n"
    "{%- if message.content is string %}{{ message.content }}{%- else %}"
    "{%- for part in message.content %}"
    "{%- if part.type == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{%- elif part.type == 'text' %}{{ part.text }}{%- endif %}"
    "{%- endfor %}{%- endif %}<|im_end|>\n{% endfor %}"
    "{%- if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def build_tokenizer(manifest: Manifest, seed: int) -> PreTrainedTokenizerFast:
    """Trains the tokenizer: prompts, answers and descriptions weigh most, so that they become few tokens."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(SPECIAL),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    bpe.train_from_iterator(_corpus(manifest, seed), trainer)
    tokenizer = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=bpe,
        eos_token="<|im_end|>",  # noqa: S106 - a token of text
        pad_token="<|endoftext|>",  # noqa: S106 - a token of text
        additional_special_tokens=list(SPECIAL[1:]),
        clean_up_tokenization_spaces=False,
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def _corpus(manifest: Manifest, seed: int) -> Iterator[str]:
    rng = random.Random(seed)  # noqa: S311 - drawing needs no secrets
    names = visible_attributes(manifest.attributes)
    prompts = [attribute_question(manifest, name, "en") for name in names]
    prompts += [question.wording("general", "en") for question in manifest.questions]
    prompts += manifest.prompts.system.values()
    prompts += [text for texts in manifest.prompts.describe.values() for text in texts.values()]
    prompts += ["Yes", "No", "system\n", "user\n", "assistant\n"]
    for text in prompts:
        yield from itertools.repeat(text, 300)
    for language, *labels in itertools.product(library.LANGUAGES, *LABELS.values()):
        yield describe(language, *labels)
    for _ in range(4000):
        yield "\n".join(rng.choice([wording.contact_lines, wording.note_lines, wording.garment_lines])(rng))
