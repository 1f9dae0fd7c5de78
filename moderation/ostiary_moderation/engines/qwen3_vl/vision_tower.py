"""The vision tower for a batch of images of one grid, computed over the stock modules' parameters.

The stock forward pass loops over images in every layer, convolves, and works positions out anew each time.
With one grid, positions are constants and attention is one call.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import gelu, linear, scaled_dot_product_attention
from transformers.vision_utils import (
    get_vision_interpolation_indices_and_weights,
    get_vision_position_ids,
)

from ostiary_moderation.engines.qwen3_vl.attention import rotate, signed
from ostiary_moderation.engines.qwen3_vl.patches import cut_patches

# A layer's intermediate results of so many patches stay in a CPU core's cache.
_CPU_PATCHES = 1024
_GRIDS_KEPT = 64


@dataclass(frozen=True, slots=True)
class Features:
    """What the text tower is given of images of one grid, each (B, visual tokens, width).

    `tokens` take the places of the image tokens; `deepstack` is added behind its first layers.
    """

    tokens: torch.Tensor
    deepstack: tuple[torch.Tensor, ...]


@dataclass(frozen=True, slots=True)
class _Grid:
    places: torch.Tensor  # learned positions with the patch embedding's bias, (patches, width)
    cos: torch.Tensor  # (patches, 1, 1, head size)
    sin: torch.Tensor  # signed


class VisionTower:
    """The blocks of a stock vision model. `mean` and `deviation`: of a channel's values, 0 to 1."""

    def __init__(self, visual: Any, mean: list[float], deviation: list[float]) -> None:
        config, self._visual = visual.config, visual
        self._patch, self._merge = config.patch_size, config.spatial_merge_size
        self._heads = config.num_heads
        self._depths = list(config.deepstack_visual_indexes)
        kernel = visual.patch_embed.proj.weight  # (width, channels, frames, rows, columns)
        # Each frame of a still image is the same picture: their kernels are added up.
        self._kernel = kernel.detach().float().sum(2).flatten(1).to(kernel.dtype)
        self._activation = _activation(visual.blocks[0].mlp.act_fn, kernel.device)
        area = self._patch * self._patch
        levels = torch.tensor([mean, deviation], device=kernel.device).repeat_interleave(area, 1) * 255
        self._mean, self._scale = levels[0], levels[1].reciprocal()
        self._grids: dict[tuple[int, int], _Grid] = {}

    def forward(self, pixels: torch.Tensor) -> Features:
        """Features of uint8 images of one size, B × H × W × 3."""
        rows, columns = pixels.shape[1] // self._patch, pixels.shape[2] // self._patch
        grid = self._grid(rows, columns)
        each = len(pixels)
        if pixels.device.type == "cpu":
            each = max(1, _CPU_PATCHES // (rows * columns))
        parts = [self._some(some, grid) for some in torch.split(pixels, each)]
        if len(parts) == 1:
            return parts[0]
        stacked = zip(*(part.deepstack for part in parts), strict=True)
        return Features(torch.cat([part.tokens for part in parts]), tuple(map(torch.cat, stacked)))

    def _some(self, pixels: torch.Tensor, grid: _Grid) -> Features:
        patches = cut_patches(pixels.permute(0, 3, 1, 2), self._patch, self._merge).flatten(2).float()
        patches = patches.sub_(self._mean).mul_(self._scale)
        states = linear(patches.to(self._kernel.dtype), self._kernel).add_(grid.places)
        deepstack: list[torch.Tensor] = []
        for number, block in enumerate(self._visual.blocks):
            states = states.add_(self._attend(block, states, grid))
            raised = self._activation(block.mlp.linear_fc1(block.norm2(states)))
            states = states.add_(block.mlp.linear_fc2(raised))
            if number in self._depths:
                merger = self._visual.deepstack_merger_list[self._depths.index(number)]
                deepstack.append(merger(states).unflatten(0, (len(pixels), -1)))
        tokens = self._visual.merger(states).unflatten(0, (len(pixels), -1))
        return Features(tokens, tuple(deepstack))

    def _attend(self, block: Any, states: torch.Tensor, grid: _Grid) -> torch.Tensor:
        heads = block.attn.qkv(block.norm1(states)).unflatten(-1, (3, self._heads, -1))
        turned = rotate(heads[:, :, :2].float(), grid.cos, grid.sin).to(heads.dtype)
        queries, keys = turned.transpose(1, 3).unbind(2)
        values = heads[:, :, 2].transpose(1, 2)
        seen = scaled_dot_product_attention(queries, keys, values)
        projected: torch.Tensor = block.attn.proj(seen.transpose(1, 2).flatten(2))
        return projected

    def _grid(self, rows: int, columns: int) -> _Grid:
        """The constants of a grid of patches, kept for the grids of late."""
        grid = self._grids.pop((rows, columns), None)
        if grid is None:
            grid = self._work_out(rows, columns)
            if len(self._grids) == _GRIDS_KEPT:
                del self._grids[next(iter(self._grids))]
        self._grids[rows, columns] = grid  # the last in the order of use
        return grid

    def _work_out(self, rows: int, columns: int) -> _Grid:
        visual, device = self._visual, self._kernel.device
        sizes = torch.tensor([[1, rows, columns]], device=device)
        indices, weights = get_vision_interpolation_indices_and_weights(
            sizes,
            num_grid_per_side=visual.num_grid_per_side,
            mode=visual.interpolation_mode,
            align_corners=visual.interpolation_align_corners,
            spatial_merge_size=self._merge,
        )
        places = (visual.pos_embed(indices) * weights[:, :, None]).sum(1).to(self._kernel.dtype)
        cos, sin = visual.rotary_pos_emb(places, get_vision_position_ids(sizes, self._merge))
        bias = visual.patch_embed.proj.bias
        angles = cos[:, None, None].float(), signed(sin[:, None, None].float())
        return _Grid(places if bias is None else places + bias, *angles)


def _activation(stock: Any, device: torch.device) -> Callable[[torch.Tensor], torch.Tensor]:
    """The stock activation; on a CPU, where its kernel is slow, GELU's tanh form in in-place steps."""
    probe = torch.linspace(-6, 6, 97)
    if device.type == "cpu" and torch.equal(stock(probe), gelu(probe, approximate="tanh")):
        return _gelu_tanh
    activation: Callable[[torch.Tensor], torch.Tensor] = stock
    return activation


def _gelu_tanh(states: torch.Tensor) -> torch.Tensor:
    """x / 2 * (1 + tanh(√(2/π) * (x + 0.044715 x³)))."""
    inner = torch.mul(states, states)
    inner.mul_(0.0356774081).add_(0.7978845608).mul_(states).tanh_()
    return inner.add_(1.0).mul_(states).mul_(0.5)
