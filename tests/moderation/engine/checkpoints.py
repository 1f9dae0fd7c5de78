"""Small random checkpoints of the real architecture, and what the stock classes answer on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

from ostiary_moderation.bundle import Bundle, Manifest
from ostiary_moderation.engine import ListingText
from ostiary_moderation.engines.qwen3_vl.engine import Qwen3VLEngine, sizes
from ostiary_moderation.engines.qwen3_vl.loading import load_model, load_processor
from ostiary_moderation.engines.qwen3_vl.packs import Branch, Pack
from ostiary_moderation.engines.qwen3_vl.patches import cut_patches
from ostiary_moderation.engines.qwen3_vl.processor import ImageOnlyProcessor
from ostiary_moderation.engines.qwen3_vl.questions import QuestionBook, Wants
from ostiary_moderation.engines.qwen3_vl.runner import Runner
from ostiary_moderation.training import library
from ostiary_moderation.training.architecture import build_config, build_model
from ostiary_moderation.training.export import write_manifest, write_model
from ostiary_moderation.training.tokenizer import build_tokenizer

EVERYTHING = Wants(flags=True, attributes=True, description="en")


def write_bundle(folder: Path, **changes: dict[str, Any]) -> Path:
    """A bundle folder with random weights, 64 wide. `changes`: of `text` and `vision`, in its config."""
    tokenizer = build_tokenizer(Manifest.model_validate(library.manifest("0" * 64, {})), seed=1)
    config = build_config(tokenizer, width=64).to_dict()
    config["text_config"] |= changes.get("text", {})
    config["vision_config"] |= changes.get("vision", {})
    config |= changes.get("whole", {})
    model = build_model(Qwen3VLConfig.from_dict(config), seed=1)
    for parameter in model.parameters():  # far from the near-zero start, so that errors cannot hide
        if parameter.ndim > 1:
            parameter.data.mul_(4.0)
    write_model(folder, model, tokenizer)
    write_manifest(folder, {})
    return folder


# The 8B checkpoint's proportions, with fewer layers and channels: four query heads to a key head, heads as
# wide as 128 (so that they do not add up to the hidden size), three deepstack levels, an own output head.
LIKE_8B: dict[str, dict[str, Any]] = {
    "text": {
        "hidden_size": 256, "intermediate_size": 384, "num_hidden_layers": 5, "num_attention_heads": 8,
        "num_key_value_heads": 2, "head_dim": 128, "tie_word_embeddings": False,
        "rope_parameters": {"rope_type": "default", "rope_theta": 5e6, "mrope_section": [24, 20, 20],
        "mrope_interleaved": True},
    },
    "vision": {
        "hidden_size": 144, "intermediate_size": 200, "num_heads": 2, "depth": 5, "out_hidden_size": 256,
        "deepstack_visual_indexes": [1, 2, 3], "num_position_embeddings": 2304,
    },
    "whole": {"tie_word_embeddings": False},
}  # fmt: skip
ONE_KEY_HEAD: dict[str, dict[str, Any]] = {
    "text": {"num_attention_heads": 6, "num_key_value_heads": 1, "attention_bias": True}
}


def changed(bundle: Bundle, **changes: Any) -> Bundle:
    """The bundle with another manifest; nested fields are given as dicts."""
    document = bundle.manifest.model_dump(mode="json")
    for name, value in changes.items():
        merge = isinstance(value, dict) and isinstance(document[name], dict)
        document[name] = {**document[name], **value} if merge else value
    return replace(bundle, manifest=Manifest.model_validate(document))


class Parts:
    """A bundle's engine in pieces, with the stock class on the same files beside it."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self.processor: ImageOnlyProcessor = load_processor(bundle)
        self.book = QuestionBook(bundle.manifest, self.processor)
        self.model = load_model(bundle)
        self.runner = Runner(self.model, *self.processor.statistics, sizes(bundle, self.book))
        dtype = getattr(torch, bundle.manifest.dtype)
        self.stock: Any = Qwen3VLForConditionalGeneration.from_pretrained(bundle.folder, dtype=dtype).eval()

    def engine(self, runner: Any = None) -> Qwen3VLEngine:
        """An engine over these parts, or over another runner."""
        bundle = self.bundle
        return Qwen3VLEngine(bundle.manifest, bundle.view_spec, self.processor, runner or self.runner, 1)

    def pack(self, wants: Wants = EVERYTHING, listing: ListingText | None = None) -> Pack:
        """What is asked."""
        return self.book.pack(listing or ListingText(), wants)

    @torch.inference_mode()
    def alone(self, view: NDArray[np.uint8], pack: Pack, branch: Branch) -> NDArray[np.float32]:
        """Logits of a branch's answers from a forward pass of its own, stock from end to end."""
        self.stock.model.rope_deltas = None
        logits = self.stock(**self.prompt(view, pack, branch)).logits[0, -1]
        return logits[list(branch.answers)].float().numpy()  # type: ignore[no-any-return]

    def generated(self, view: NDArray[np.uint8], pack: Pack, limit: int) -> list[int]:
        """What the stock `generate` writes behind the description's branch, without what ends it."""
        assert pack.describe is not None
        self.stock.model.rope_deltas = None
        inputs = self.prompt(view, pack, pack.describe)
        out = self.stock.generate(**inputs, max_new_tokens=limit, do_sample=False)
        tokens: list[int] = out[0, inputs["input_ids"].shape[1] :].tolist()
        return [token for token in tokens if token not in self.runner.stop_tokens]

    def prompt(self, view: NDArray[np.uint8], pack: Pack, branch: Branch) -> dict[str, torch.Tensor]:
        """A whole prompt as the stock class takes it, positions left to itself."""
        rows, columns = view.shape[0] // 32, view.shape[1] // 32
        image = [int(self.stock.config.image_token_id)] * (rows * columns)
        ids = [*pack.rulebook, *image, *pack.after, *branch.tokens]
        types = [0] * len(pack.rulebook) + [1] * len(image)
        types += [0] * (len(ids) - len(types))
        mean, deviation = self.processor.statistics
        assert mean == deviation == [0.5] * 3
        patches = (
            cut_patches(torch.from_numpy(view.copy())[None].permute(0, 3, 1, 2), 16, 2).float() / 127.5 - 1
        )
        twice = patches.unsqueeze(3).expand(-1, -1, -1, 2, -1, -1).flatten(2)
        return {
            "input_ids": torch.tensor([ids]),
            "mm_token_type_ids": torch.tensor([types]),
            "attention_mask": torch.ones(1, len(ids), dtype=torch.long),
            "pixel_values": twice[0],
            "image_grid_thw": torch.tensor([[1, 2 * rows, 2 * columns]]),
        }


def describe(runner: Runner, views: Sequence[NDArray[np.uint8]], pack: Pack, limit: int) -> list[list[int]]:
    """Descriptions of some images of one grid, decoded side by side without stopping."""
    prompt = pack.prompt((views[0].shape[0] // 32) * (views[0].shape[1] // 32))
    written = [[token] for token in runner.prefill(views, pack, range(len(views))).first]
    for step in range(limit - 1):
        for row, token in zip(written, runner.decode(0, len(views), prompt + step), strict=True):
            row.append(token)
    return written


def shares(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Shares of the answers among themselves; of two it is P(yes) and P(no)."""
    weights: NDArray[np.float32] = np.exp(logits - logits.max())
    return weights / weights.sum()
