"""The text tower's layers, computed over the stock modules' parameters.

The stock forward pass spends most of a decoded token in Python and in copies: it builds masks, concatenates
caches and repeats keys and values anew for every layer and token. This one is given what it needs, and stands
beside the stock one in the tests.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import embedding, rms_norm

from ostiary_moderation.engines.qwen3_vl.attention import grouped_attention, rotate, signed
from ostiary_moderation.engines.qwen3_vl.projections import Projection, fuse

# Given a layer's number and its new keys and values, (B, kv_heads, Q, d) each, returns all that its queries
# attend to.
Remember = Callable[[int, torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]


@dataclass(frozen=True, slots=True)
class _Layer:
    before: torch.Tensor  # weight of the norm before attention
    heads: Projection  # to query, key and value heads
    head_weights: torch.Tensor  # of the norms of query and key heads, (heads + kv_heads, head size)
    output: Projection
    after: torch.Tensor  # weight of the norm after attention
    gate_up: Projection
    down: Projection


class TextTower:
    """The layers of a stock text model. `width`, `layers`, `kv_heads` and `head_dim` are its sizes."""

    def __init__(self, text: Any) -> None:
        config = text.config
        self.layers, self.width = config.num_hidden_layers, config.hidden_size
        self.kv_heads, self.head_dim = config.num_key_value_heads, text.layers[0].self_attn.head_dim
        self._heads = config.num_attention_heads
        self.group = self._heads // self.kv_heads
        self._epsilon = config.rms_norm_eps
        self._embeddings, self._norm = text.embed_tokens.weight, text.norm.weight
        self._rotary, self._activation = text.rotary_emb, text.layers[0].mlp.act_fn
        self._stack = [self._layer(layer) for layer in text.layers]

    @property
    def dtype(self) -> torch.dtype:
        """What hidden states are computed in."""
        dtype: torch.dtype = self._embeddings.dtype
        return dtype

    def embed(self, tokens: torch.Tensor) -> torch.Tensor:
        """(…,) tokens to (…, width)."""
        return embedding(tokens, self._embeddings)

    def angles(self, positions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Cosines and signed sines, (length, 1, head size), of M-RoPE positions (3, length)."""
        cos, sin = self._rotary(self._embeddings, positions[:, None])
        return cos[0, :, None].contiguous(), signed(sin[0, :, None])

    def forward(
        self,
        states: torch.Tensor,
        angles: tuple[torch.Tensor, torch.Tensor],
        mask: torch.Tensor | None,
        remember: Remember,
        *,
        ends: torch.Tensor | None = None,
        deepstack: Sequence[torch.Tensor] = (),
    ) -> torch.Tensor:
        """Hidden states after the last layer and its norm.

        `states`: (B, Q, width), changed in place. `angles`: as `angles` gives them, broadcast over (B, Q,
        heads, d). `mask`: see `grouped_attention`. `deepstack`: image features (B, image tokens, width) that
        the first layers add to the first positions. `ends`: positions to read; the last layer then asks at
        these alone, and the result is (B, len(ends), width) in place of (B, Q, width).
        """
        for number, layer in enumerate(self._stack):
            normed = rms_norm(states, (self.width,), layer.before, self._epsilon)
            last = ends is not None and number == self.layers - 1
            seen = self._attend(number, normed, angles, mask, remember, ends if last else None)
            if last and ends is not None:
                states = states[:, ends]
            states = states.add_(layer.output(seen))
            normed = rms_norm(states, (self.width,), layer.after, self._epsilon)
            gate, up = layer.gate_up(normed).chunk(2, -1)
            states = states.add_(layer.down(self._activation(gate).mul_(up)))
            if number < len(deepstack):
                states[:, : deepstack[number].shape[1]] += deepstack[number]
        return rms_norm(states, (self.width,), self._norm, self._epsilon)

    def _attend(
        self,
        number: int,
        normed: torch.Tensor,
        angles: tuple[torch.Tensor, torch.Tensor],
        mask: torch.Tensor | None,
        remember: Remember,
        ends: torch.Tensor | None,
    ) -> torch.Tensor:
        layer, asking = self._stack[number], self._heads + self.kv_heads
        heads = layer.heads(normed).reshape(*normed.shape[:2], asking + self.kv_heads, self.head_dim)
        turning = rms_norm(heads[:, :, :asking], (self.head_dim,), None, self._epsilon)
        turned = rotate(turning * layer.head_weights, *angles)
        queries, keys = turned[:, :, : self._heads], turned[:, :, self._heads :]
        if ends is not None:
            queries, mask = queries[:, ends], self._rows(mask, ends, normed.shape[1])
        keys, values = remember(number, keys.transpose(1, 2), heads[:, :, asking:].transpose(1, 2))
        return grouped_attention(queries, keys, values, mask)

    def _rows(self, mask: torch.Tensor | None, ends: torch.Tensor, length: int) -> torch.Tensor | None:
        """The rows of a mask for queries at `ends` alone."""
        if mask is None:
            return None
        return mask.reshape(self.group, length, -1)[:, ends].reshape(1, 1, -1, mask.shape[-1])

    def _layer(self, layer: Any) -> _Layer:
        attention, mlp = layer.self_attn, layer.mlp
        heads = [
            attention.q_norm.weight.expand(self._heads, -1),
            attention.k_norm.weight.expand(self.kv_heads, -1),
        ]
        return _Layer(
            before=layer.input_layernorm.weight,
            heads=fuse([attention.q_proj, attention.k_proj, attention.v_proj]),
            head_weights=torch.cat([weight.detach() for weight in heads]),
            output=fuse([attention.o_proj]),
            after=layer.post_attention_layernorm.weight,
            gate_up=fuse([mlp.gate_proj, mlp.up_proj]),
            down=fuse([mlp.down_proj]),
        )
