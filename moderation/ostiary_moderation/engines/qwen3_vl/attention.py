"""Attention of grouped query heads, without copying keys and values for every head of a group."""

from __future__ import annotations

import torch
from torch.nn.functional import scaled_dot_product_attention


def rotate(states: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Rotary positions. `sin` comes from `signed`; cos and sin broadcast against `states`."""
    turned = torch.roll(states, states.shape[-1] // 2, -1)
    return torch.addcmul(states * cos, turned, sin)


def signed(sin: torch.Tensor) -> torch.Tensor:
    """Sines for `rotate`: the minus sign of rotating the first half is moved into them."""
    first, second = sin.chunk(2, -1)
    return torch.cat([-first, second], -1)


def grouped_attention(
    queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, mask: torch.Tensor | None
) -> torch.Tensor:
    """Scaled dot-product attention with the query heads of a group folded into the query dimension.

    `queries`: (B, Q, heads, d). `keys`, `values`: (B, kv_heads, K, d). `mask`: additive, the last two
    dimensions (group * Q, K) as `group_mask` lays them out. Returns (B, Q, heads * d).
    """
    batch, length, heads, size = queries.shape
    kv_heads = keys.shape[1]
    group = heads // kv_heads
    folded = queries.reshape(batch, length, kv_heads, group, size).permute(0, 2, 3, 1, 4)
    folded = folded.reshape(batch, kv_heads, group * length, size)
    seen = scaled_dot_product_attention(folded, keys, values, attn_mask=mask)
    unfolded = seen.reshape(batch, kv_heads, group, length, size).permute(0, 3, 1, 2, 4)
    return unfolded.reshape(batch, length, heads * size)


def group_mask(seen: torch.Tensor, group: int, dtype: torch.dtype) -> torch.Tensor:
    """What `grouped_attention` takes, from a boolean mask (Q, K), True where a query sees a key.

    Additive: a boolean mask would be turned into numbers anew in every layer, and some attention kernels
    add it as 0 and 1. Its rows start at multiples of eight numbers: GPU kernels would copy it otherwise.
    """
    queries, keys = seen.shape
    additive = torch.zeros(group, queries, aligned(keys), dtype=dtype, device=seen.device)
    additive[:, :, :keys].masked_fill_(~seen, float("-inf"))
    return additive.flatten(0, 1)[None, None, :, :keys]


def aligned(length: int) -> int:
    """The next multiple of eight."""
    return -(-length // 8) * 8
