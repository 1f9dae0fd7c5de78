"""What a forward pass over one grid with one pack needs and every such pass shares, on the device."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ostiary_moderation.engines.qwen3_vl.attention import group_mask
from ostiary_moderation.engines.qwen3_vl.packs import Pack, lay_out
from ostiary_moderation.engines.qwen3_vl.text_tower import TextTower

# Of masks kept, on a CPU and on a GPU; a large image's takes some megabytes.
_MASK_BYTES = {"cpu": 64 << 20, "cuda": 1 << 30}

KeysValues = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True, slots=True)
class Plan:
    """Constants of a pass. `tail`: embeddings behind the image (tokens, width). `mask`, `angles`: see
    `TextTower.forward`. `ends`: last tokens of the branches. `answers`: rows of the head (answers, width),
    and `columns`, for each question, where its own are among them. `rulebook`: keys and values before the
    image, by layer. `prompt`: tokens that a description continues, at `next_position`.
    """

    tail: torch.Tensor
    angles: tuple[torch.Tensor, torch.Tensor]
    mask: torch.Tensor
    ends: torch.Tensor
    answers: torch.Tensor
    columns: list[NDArray[np.intp]]
    rulebook: list[KeysValues]
    prompt: int
    next_position: int

    @property
    def bytes(self) -> int:
        """Memory that its mask, by far the largest part, takes."""
        return self.mask.untyped_storage().nbytes()


class Plans:
    """Plans by grid and pack, kept for those of late. `head`: the output head's weight."""

    def __init__(self, text: TextTower, head: torch.Tensor, device: torch.device) -> None:
        self._text, self._head, self._device = text, head, device
        self._room = _MASK_BYTES[device.type]
        self._kept: dict[tuple[int, int, Pack], Plan] = {}
        self._rulebooks: dict[tuple[int, ...], list[KeysValues]] = {}

    def of(self, rows: int, columns: int, pack: Pack) -> Plan:
        """The plan for images of `rows` × `columns` visual tokens."""
        key = (rows, columns, pack)
        plan = self._kept.pop(key, None)
        if plan is None:
            plan = self._work_out(rows, columns, pack)
            while self._kept and plan.bytes + sum(kept.bytes for kept in self._kept.values()) > self._room:
                del self._kept[next(iter(self._kept))]
        self._kept[key] = plan  # the last in the order of use
        return plan

    def _work_out(self, rows: int, columns: int, pack: Pack) -> Plan:
        layout, text, device = lay_out(pack, rows, columns), self._text, self._device
        tail = torch.tensor(pack.tail, dtype=torch.long, device=device)
        seen = torch.from_numpy(layout.mask).to(device)
        answers = torch.tensor(pack.answers, dtype=torch.long, device=device)
        return Plan(
            tail=text.embed(tail),
            angles=text.angles(torch.from_numpy(layout.positions).to(device)),
            mask=group_mask(seen, text.group, text.dtype),
            ends=torch.from_numpy(layout.ends).to(device),
            answers=self._head[answers],
            columns=pack.columns(),
            rulebook=self._rulebook(pack.rulebook),
            prompt=pack.prompt(rows * columns),
            next_position=layout.next_position,
        )

    def _rulebook(self, tokens: tuple[int, ...]) -> list[KeysValues]:
        """Keys and values of the text before every image, for each layer; computed once."""
        if tokens not in self._rulebooks:
            known: list[KeysValues] = []

            def remember(layer: int, keys: torch.Tensor, values: torch.Tensor) -> KeysValues:
                known.append((keys, values))
                return keys, values

            text, length = self._text, len(tokens)
            causal = torch.ones(length, length, dtype=torch.bool, device=self._device).tril()
            text.forward(
                text.embed(torch.tensor(tokens, device=self._device))[None],
                text.angles(torch.arange(length, device=self._device).expand(3, -1)),
                group_mask(causal, text.group, text.dtype),
                remember,
            )
            self._rulebooks[tokens] = known
        return self._rulebooks[tokens]
