"""From a bundle's prompt library to text: the part before every question, and the questions. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from string import ascii_uppercase

from ostiary_moderation.bundle import Manifest

_MARK = "<<question>>"


@dataclass(frozen=True)
class ChatFrame:
    """A rendered conversation, cut where the question goes: `before` ends with the image, `after` opens the
    answer.
    """

    before: str
    after: str

    def question(self, text: str) -> str:
        """What a branch holds: the question and the opening of the answer."""
        return text + self.after


def messages(system: str, text: str = _MARK) -> list[dict[str, object]]:
    """One image, one question, in the chat form that the template renders."""
    user = [{"type": "image"}, {"type": "text", "text": text}]
    return [{"role": "system", "content": system}, {"role": "user", "content": user}]


def cut(rendered: str) -> ChatFrame:
    """Cuts a rendered conversation at its question. Raises ValueError when the template dropped or moved
    it.
    """
    before, mark, after = rendered.partition(_MARK)
    if not mark or not before.endswith("<|vision_end|>"):
        raise ValueError("the chat template must put the question right after the image")
    return ChatFrame(before, after)


def lettered(question: str, options: Sequence[str]) -> str:
    """The question with one lettered option a line; the answer is a letter."""
    lines = [f"{letter} {option}" for letter, option in zip(ascii_uppercase, options, strict=False)]
    return "\n".join([question, *lines])


def attribute_question(manifest: Manifest, name: str, language: str) -> str:
    """The lettered question for one attribute."""
    return lettered(manifest.prompts.attribute_in(language, name), manifest.attributes[name])


def visible_attributes(attributes: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Names of the attributes that a bundle can see: those with more values than `unknown`."""
    return tuple(name for name, values in attributes.items() if len(values) > 1)
