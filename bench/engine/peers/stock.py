"""The stock way to ask a Qwen3-VL checkpoint: what every arm but ours runs, in an environment of its own.

Knows nothing of this project: torch, transformers and Pillow alone. A task file says what to load and ask.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from transformers import (
    AutoImageProcessor,
    AutoModelForImageTextToText,
    AutoTokenizer,
    Qwen3VLProcessor,
    StoppingCriteria,
)

IMAGE_TOKEN = "<|image_pad|>"  # noqa: S105  # a token of the model, no secret


@dataclass(frozen=True)
class Task:
    """What to load and ask; the same for every arm.

    `answer_tokens`: new tokens of a policy answer where each prompt is generated on its own: the answer and
    the token that ends it. `pixels`: the least and the most that an image is resized to lie between.
    """

    folder: str
    dtype: str
    system: str
    questions: list[str]
    describe: str
    description_tokens: int
    answer_tokens: int
    pixels: list[int]
    threads: int
    max_batch: int

    @classmethod
    def read(cls, path: str) -> Task:
        """The task that a file holds."""
        return cls(**json.loads(Path(path).read_text(encoding="utf-8")))


class ImageTextProcessor(Qwen3VLProcessor):
    """The stock processor without its video half, which alone would need torchvision."""

    @classmethod
    def get_attributes(cls) -> list[str]:
        """Names of the parts that the constructor takes."""
        return ["image_processor", "tokenizer"]


class AnsweredRows(StoppingCriteria):
    """Ends a policy prompt's row at its first token, so that a batch is as long as its descriptions only."""

    def __init__(self, rows: list[bool]) -> None:
        self._rows = torch.tensor(rows)

    def __call__(self, input_ids: Any, scores: Any, **_: Any) -> torch.Tensor:
        """The rows that are done: (rows,) bool."""
        return self._rows


def opened(data: bytes) -> Image.Image:
    """The picture in an encoded file."""
    return Image.open(BytesIO(data)).convert("RGB")


class StockModel:
    """The model with its processor. Not thread-safe."""

    def __init__(self, task: Task) -> None:
        torch.set_num_threads(task.threads)
        self.task = task
        low, high = task.pixels
        images = AutoImageProcessor.from_pretrained(
            task.folder, backend="pil", size={"shortest_edge": low, "longest_edge": high}
        )
        tokenizer = AutoTokenizer.from_pretrained(task.folder, padding_side="left")
        self.processor = ImageTextProcessor(images, tokenizer, chat_template=tokenizer.chat_template)
        model = AutoModelForImageTextToText.from_pretrained(task.folder, dtype=getattr(torch, task.dtype))
        self.model = model.eval()

    def one_by_one(self, image: Image.Image, description: bool) -> dict[str, Any]:
        """As the model card's tutorial does it: one `generate` for each prompt."""
        task = self.task
        tokens = task.answer_tokens if description else 1
        answers = [self._ask(image, question, tokens) for question in task.questions]
        text = self._ask(image, task.describe, task.description_tokens) if description else None
        return {"answers": answers, "description": text, "batch": 1}

    def margins(self, image: Image.Image) -> list[float]:
        """logit(Yes) - logit(No) of each question's first answered token, each from a prompt of its own."""
        yes, no = self.processor.tokenizer.convert_tokens_to_ids(["Yes", "No"])
        found = []
        for question in self.task.questions:
            inputs = self._inputs(image, question)
            output = self.model.generate(
                **inputs,
                max_new_tokens=1,
                do_sample=False,
                output_logits=True,
                return_dict_in_generate=True,
            )
            logits = output.logits[0][0]
            found.append(float(logits[yes] - logits[no]))
        return found

    def together(self, images: list[Image.Image], description: bool) -> list[dict[str, Any]]:
        """One `generate` for all prompts of all images, padded on the left; each image is processed once."""
        task = self.task
        prompts = [*task.questions, task.describe] if description else task.questions
        inputs = self._padded(images, prompts)
        asked = len(task.questions)
        answered = AnsweredRows([index < asked for index in range(len(prompts))] * len(images))
        written = self.model.generate(
            **inputs,
            max_new_tokens=task.description_tokens if description else 1,
            do_sample=False,
            stopping_criteria=[answered],
        )
        new = written[:, inputs["input_ids"].shape[1] :]
        texts = [text.strip() for text in self.processor.batch_decode(new, skip_special_tokens=True)]
        rows = [texts[start : start + len(prompts)] for start in range(0, len(texts), len(prompts))]
        return [
            {
                "answers": row[:asked],
                "description": row[asked] if description else None,
                "batch": len(images),
            }
            for row in rows
        ]

    def _ask(self, image: Image.Image, prompt: str, tokens: int) -> str:
        inputs = self._inputs(image, prompt)
        written = self.model.generate(**inputs, max_new_tokens=tokens, do_sample=False)
        trimmed = [new[len(given) :] for given, new in zip(inputs["input_ids"], written, strict=True)]
        return str(self.processor.batch_decode(trimmed, skip_special_tokens=True)[0]).strip()

    def _inputs(self, image: Image.Image, prompt: str) -> Any:
        return self.processor.apply_chat_template(
            self._messages(prompt, image),
            tokenize=True,
            add_generation_prompt=True,
            return_dict=True,
            return_tensors="pt",
        )

    def _padded(self, images: list[Image.Image], prompts: list[str]) -> dict[str, Any]:
        features = self.processor.image_processor(images=images, return_tensors="pt")
        grids = features["image_grid_thw"]
        merged = grids.prod(-1) // self.processor.image_processor.merge_size**2
        rendered = [
            self.processor.tokenizer.apply_chat_template(
                self._messages(prompt), tokenize=False, add_generation_prompt=True
            )
            for prompt in prompts
        ]
        texts = [text.replace(IMAGE_TOKEN, IMAGE_TOKEN * int(count)) for count in merged for text in rendered]
        tokens = self.processor.tokenizer(texts, padding=True, return_tensors="pt")
        patches = features["pixel_values"].split(grids.prod(-1).tolist())
        return {
            **tokens,
            "mm_token_type_ids": (tokens["input_ids"] == self.processor.image_token_id).long(),
            "pixel_values": torch.cat([patch for patch in patches for _ in prompts]),
            "image_grid_thw": grids.repeat_interleave(len(prompts), dim=0),
        }

    def _messages(self, prompt: str, image: Image.Image | None = None) -> list[dict[str, Any]]:
        shown = {"type": "image"} if image is None else {"type": "image", "image": image}
        return [
            {"role": "system", "content": [{"type": "text", "text": self.task.system}]},
            {"role": "user", "content": [shown, {"type": "text", "text": prompt}]},
        ]
