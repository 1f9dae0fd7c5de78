"""Keys and values of the descriptions being written: allocated once, written in place."""

from __future__ import annotations

import torch

Rows = torch.Tensor | slice

_NEVER = float("-inf")


class RowCache:
    """One row per description. Rows `0 … n - 1` are in use; a row's content beyond its length is masked.

    Buffers: `keys[layer]`, `values[layer]`, of `shape` (rows, kv_heads, max_length, head_dim); `tokens`, the
    next to feed; `positions`, its M-RoPE position; `lengths`, tokens held; `mask` (rows, max_length), 0 where
    a token is held and -inf elsewhere; `dice` (rows, max_length), numbers in [0, 1) for sampling.
    """

    def __init__(
        self, layers: int, shape: tuple[int, int, int, int], dtype: torch.dtype, device: torch.device
    ) -> None:
        rows, max_length = shape[0], shape[2]
        # Zeros and not garbage: a masked infinity would still spoil the sum that it is masked out of.
        self.keys = [torch.zeros(shape, dtype=dtype, device=device) for _ in range(layers)]
        self.values = [torch.zeros(shape, dtype=dtype, device=device) for _ in range(layers)]
        self.tokens = torch.zeros(rows, dtype=torch.long, device=device)
        self.positions = torch.zeros(rows, dtype=torch.long, device=device)
        self.lengths = torch.zeros(rows, dtype=torch.long, device=device)
        self.mask = torch.full((rows, max_length), _NEVER, dtype=dtype, device=device)
        self.dice = torch.zeros((rows, max_length), device=device)
        self.max_length = max_length

    def fill(self, layer: int, rows: Rows, keys: torch.Tensor, values: torch.Tensor) -> None:
        """The first keys and values of some rows, each (rows, kv_heads, length, head_dim)."""
        length = keys.shape[2]
        self.keys[layer][rows, :, :length] = keys
        self.values[layer][rows, :, :length] = values

    def start(self, rows: Rows, length: int, token: torch.Tensor, position: int) -> None:
        """Rows that hold `length` tokens and are to be fed `token`, (rows,), at `position`."""
        self.tokens[rows], self.positions[rows], self.lengths[rows] = token, position, length
        self.mask[rows] = _NEVER
        self.mask[rows, :length] = 0.0

    def advance(self, first: int, count: int) -> None:
        """One token more is held in these rows. A row that nobody reads stays within its buffer."""
        rows, last = slice(first, first + count), self.max_length - 1
        self.lengths[rows].add_(1).clamp_(max=last)
        self.positions[rows].add_(1).clamp_(max=last)

    def move(self, source: int, target: int) -> None:
        """Copies a row over another."""
        per_row = (self.tokens, self.positions, self.lengths, self.mask, self.dice)
        for buffer in (*self.keys, *self.values, *per_row):
            buffer[target].copy_(buffer[source])

    def append(
        self, layer: int, keys: torch.Tensor, values: torch.Tensor, *, first: int, longest: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Writes one token for each of some consecutive rows, (n, kv_heads, 1, head_dim), in place.

        Returns views of these rows' first `longest` keys and values.
        """
        rows = slice(first, first + len(keys))
        place = self.lengths[rows, None, None, None].expand_as(keys)
        all_keys, all_values = self.keys[layer][rows], self.values[layer][rows]
        all_keys.scatter_(2, place, keys)
        all_values.scatter_(2, place, values)
        return all_keys[:, :, :longest], all_values[:, :, :longest]
