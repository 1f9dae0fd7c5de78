"""The arms on stock classes: what a user of the library would write, from the tutorial to a tree."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from transformers import DynamicCache, StoppingCriteria

from bench.gpu.arms import Answer, Stages
from bench.gpu.clock import now
from bench.gpu.work import QUESTIONS, Work
from ostiary_moderation.engines.qwen3_vl.packs import branch_mask
from ostiary_moderation.engines.qwen3_vl.positions import image_prompt_positions, text_positions


class _Answered(StoppingCriteria):
    """Ends a policy prompt's row at its first token."""

    def __init__(self, rows: torch.Tensor) -> None:
        self._rows = rows

    def __call__(self, input_ids: Any, scores: Any, **_: Any) -> torch.Tensor:
        return self._rows


class _Stock:
    """A stock model and one size of work."""

    cuda = ""

    def __init__(self, name: str, model: Any, work: Work, batch: int = 1) -> None:
        self.name, self.batch = name, batch
        self._model, self._work = model, work
        self._patches, self._grids = work.patches(batch), work.grids(batch)

    def run(self, description: bool) -> Answer:
        """See `GpuArm.run`."""
        raise NotImplementedError

    def stages(self) -> Stages:
        """Vision, prefill and decoding, told apart by what passes through the two towers."""
        work, spent = self._work, {"vision": 0.0, "prefill": 0.0, "decode": 0.0}
        with self._watched(spent):
            begun = now(work.device)
            self.run(description=True)
            total = now(work.device) - begun
        # What is neither tower's own is the loop around decoding: processors, caches, choosing tokens.
        decode = total - spent["vision"] - spent["prefill"]
        each = self.batch
        return Stages(vision=spent["vision"] / each, prefill=spent["prefill"] / each, decode=decode / each)

    @contextmanager
    def _watched(self, spent: dict[str, float]) -> Iterator[None]:
        work, begun = self._work, {"at": 0.0}

        def before(*_: Any) -> None:
            begun["at"] = now(work.device)

        def after_vision(*_: Any) -> None:
            spent["vision"] += now(work.device) - begun["at"]

        def after_text(_: Any, __: Any, kwargs: Any, output: Any) -> None:
            stage = "prefill" if output.last_hidden_state.shape[1] > 1 else "decode"
            spent[stage] += now(work.device) - begun["at"]

        visual, text = self._model.model.visual, self._model.model.language_model
        hooks = [
            visual.register_forward_pre_hook(before),
            visual.register_forward_hook(after_vision),
            text.register_forward_pre_hook(before),
            text.register_forward_hook(after_text, with_kwargs=True),
        ]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def _generate(
        self, prompts: Sequence[Sequence[int]], images: torch.Tensor, describing: list[bool]
    ) -> Any:
        """One `generate` over prompts of equal length, (rows,) each with its image's number."""
        work = self._work
        ids = torch.tensor(prompts, device=work.device)
        tokens = work.written if any(describing) else 1
        answered = _Answered(torch.tensor([not one for one in describing], device=work.device))
        return self._model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            mm_token_type_ids=(ids == work.config.image_token_id).long(),
            pixel_values=self._patches[images].flatten(0, 1),
            image_grid_thw=self._grids[images],
            min_new_tokens=tokens if any(describing) else None,
            max_new_tokens=tokens,
            do_sample=False,
            stopping_criteria=[answered] if tokens > 1 else None,
            output_logits=True,
            return_dict_in_generate=True,
            **self._options(),
        )

    def _options(self) -> dict[str, Any]:
        return {}

    def _margins(self, logits: torch.Tensor) -> torch.Tensor:
        yes, no = self._work.answers
        return (logits[..., yes] - logits[..., no]).float().cpu()


class Article(_Stock):
    """One `generate` for each prompt, one image after another."""

    @torch.inference_mode()
    def run(self, description: bool) -> Answer:
        """See `GpuArm.run`."""
        work, first = self._work, torch.zeros(1, dtype=torch.long)
        margins = []
        for question in work.questions:
            output = self._generate([work.prompt(question)], first, [False])
            margins.append(self._margins(output.logits[0][0]))
        written = None
        if description:
            prompt = work.prompt(work.describe)
            output = self._generate([prompt], first, [True])
            written = output.sequences[:, len(prompt) :].cpu()
        return Answer(torch.stack(margins)[None], written)


class Batched(_Stock):
    """All prompts of all images in one `generate`. Prompts are equally long: padding costs nothing."""

    @torch.inference_mode()
    def run(self, description: bool) -> Answer:
        """See `GpuArm.run`."""
        work = self._work
        asked = [*work.questions, work.describe] if description else list(work.questions)
        prompts = [work.prompt(question) for question in asked] * self.batch
        images = torch.arange(self.batch).repeat_interleave(len(asked))
        describing = ([False] * QUESTIONS + [True] * description) * self.batch
        output = self._generate(prompts, images, describing)
        margins = self._margins(output.logits[0]).reshape(self.batch, len(asked))[:, :QUESTIONS]
        new = output.sequences[:, len(prompts[0]) :].cpu()
        return Answer(margins, new[QUESTIONS :: len(asked)] if description else None)


class StaticCompiled(Batched):
    """The same with the library's static cache, whose decoding it compiles on CUDA."""

    def _options(self) -> dict[str, Any]:
        return {"cache_implementation": "static"}

    def stages(self) -> Stages:
        """None: a hook inside a compiled step would be measured and not the step."""
        return Stages()


class PrefixReuse(_Stock):
    """The image prefilled once; each prompt continues its cache, which is then cropped back."""

    @torch.inference_mode()
    def run(self, description: bool) -> Answer:
        """See `GpuArm.run`."""
        work = self._work
        cache = DynamicCache(config=work.config.text_config)
        place = image_prompt_positions(len(work.rulebook), work.grid, work.grid, len(work.after))
        prefix = torch.tensor([work.prompt(())], device=work.device)
        _forward(self._model, work, prefix, place, cache, patches=self._patches, grids=self._grids)
        held, start = prefix.shape[1], int(place.max()) + 1
        margins = []
        for question in work.questions:
            logits = _forward(
                self._model, work, _row(work, question), text_positions(start, len(question)), cache
            )
            margins.append(self._margins(logits[0, -1]))
            cache.crop(held - cache.get_seq_length())
        written = None
        if description:
            place = text_positions(start, len(work.describe))
            logits = _forward(self._model, work, _row(work, work.describe), place, cache)
            written = _continue(self._model, work, cache, logits[:, -1], start + len(work.describe))
        return Answer(torch.stack(margins)[None], written)


class Tree(_Stock):
    """Image, instruction and questions in one masked forward of the stock layers; the description is decoded
    from the cropped cache.
    """

    @torch.inference_mode()
    def run(self, description: bool) -> Answer:
        """See `GpuArm.run`."""
        work = self._work
        branches = [work.describe, *work.questions] if description else list(work.questions)
        lengths = [len(branch) for branch in branches]
        place = image_prompt_positions(len(work.rulebook), work.grid, work.grid, len(work.after))
        prefix, start = place.shape[1], int(place.max()) + 1
        tails = [text_positions(start, length) for length in lengths]
        mask = torch.from_numpy(branch_mask(prefix, lengths)).to(work.device)
        ids = torch.tensor([work.prompt(sum(branches, ()))] * self.batch, device=work.device)
        ends = prefix - 1 + torch.tensor(lengths).cumsum(0)
        cache = DynamicCache(config=work.config.text_config)
        logits = _forward(
            self._model,
            work,
            ids,
            np.concatenate([place, *tails], axis=1),
            cache,
            patches=self._patches,
            grids=self._grids,
            mask=mask,
            keep=ends.to(work.device),
        )
        margins = self._margins(logits[:, 1 if description else 0 :])
        written = None
        if description:
            cache.crop(prefix + lengths[0] - cache.get_seq_length())
            written = _continue(self._model, work, cache, logits[:, 0], start + lengths[0])
        return Answer(margins, written)


def _forward(
    model: Any,
    work: Work,
    ids: torch.Tensor,
    place: Any,
    cache: Any,
    *,
    patches: torch.Tensor | None = None,
    grids: torch.Tensor | None = None,
    mask: torch.Tensor | None = None,
    keep: torch.Tensor | int = 1,
) -> torch.Tensor:
    """Logits after the kept positions. Positions are always given: the model's own are state of its own."""
    positions = torch.from_numpy(place).to(work.device)[:, None].expand(-1, len(ids), -1)
    output = model(
        input_ids=ids,
        attention_mask=None if mask is None else mask[None, None].expand(len(ids), -1, -1, -1),
        position_ids=positions,
        pixel_values=None if patches is None else patches.flatten(0, 1),
        image_grid_thw=grids,
        mm_token_type_ids=None if patches is None else (ids == work.config.image_token_id).long(),
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=keep,
    )
    logits: torch.Tensor = output.logits
    return logits


def _continue(model: Any, work: Work, cache: Any, logits: torch.Tensor, start: int) -> torch.Tensor:
    """Greedy tokens after a prompt, exactly as many as are to be written."""
    stop = work.config.text_config.eos_token_id
    written = []
    for number in range(work.written):
        logits = logits.clone()
        logits[:, stop] = float("-inf")
        tokens = logits.argmax(-1, keepdim=True)
        written.append(tokens)
        if number + 1 < work.written:
            logits = _forward(model, work, tokens, text_positions(start + number, 1), cache)[:, -1]
    return torch.cat(written, 1).cpu()


def _row(work: Work, tokens: Sequence[int]) -> torch.Tensor:
    return torch.tensor([list(tokens)], device=work.device)
