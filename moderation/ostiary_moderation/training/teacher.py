"""Two small convolutional networks that learn first, and then teach the vision tower: one what garments are,
the other what is drawn over photographs.

Convolutions learn from few photographs, or in few minutes, what a transformer would need many for. The vision
tower learns to predict the networks' features token by token, on any number of varied views (feature
distillation, arXiv:2012.12877 has the idea for whole images). They are no part of the checkpoint.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import adaptive_avg_pool2d, layer_norm, relu

from ostiary_moderation.training.gallery import LABELS
from ostiary_moderation.training.optimise import fast_products
from ostiary_moderation.training.scenes import KINDS, Grid


class _Block(nn.Module):
    """Two 3 × 3 convolutions and a way around them (arXiv:1512.03385)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = _convolution(inputs, outputs, 3, stride)
        self.second = _convolution(outputs, outputs, 3, 1)
        self.around: nn.Module = nn.Identity()
        if stride > 1:
            self.around = nn.Sequential(nn.AvgPool2d(stride), _convolution(inputs, outputs, 1, 1))

    def begin(self) -> None:
        """Makes the block the way around it, and nothing else yet."""
        for parameter in self.second[1].parameters():
            nn.init.zeros_(parameter)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return relu(self.second(relu(self.first(pixels))) + self.around(pixels))


def _convolution(inputs: int, outputs: int, kernel: int, stride: int) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs))


class _Convolutions(nn.Module):
    """Features at a sixteenth of the picture's sides. `width`: channels of the first quarter; features have
    four times as many.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = 4 * width
        self.body = nn.Sequential(
            _convolution(3, width // 2, 3, 2),
            nn.ReLU(),
            _Block(width // 2, width, 2), _Block(width, width, 1),
            _Block(width, 2 * width, 2), _Block(2 * width, 2 * width, 1),
            _Block(2 * width, 4 * width, 2), _Block(4 * width, 4 * width, 1),
        )  # fmt: skip
        self.body.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs lack it
        for module in self.body.modules():
            if isinstance(module, _Block):
                module.begin()

    def features(self, pixels: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) → (B, width, H / 16, W / 16)."""
        with fast_products():
            features = self.body(pixels.contiguous(memory_format=torch.channels_last))
        return torch.as_tensor(features).float()


class GarmentTeacher(_Convolutions):
    """Reads the product's labels from the mean of its features."""

    def __init__(self, width: int = 48) -> None:
        super().__init__(width)
        self.head = nn.Sequential(nn.Dropout(0.3), nn.Linear(self.width, sum(map(len, LABELS.values()))))

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """(B, 3, H, W) → features (B, width, H / 16, W / 16) and logits (B, values) by label."""
        features = self.features(pixels)
        logits = self.head(features.mean(dim=(2, 3))).split([len(v) for v in LABELS.values()], dim=1)
        return features, dict(zip(LABELS, logits, strict=True))

    @torch.no_grad()
    def teach(self, pixels: torch.Tensor, grid: Grid) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """What the vision tower should see: normalised features (B, tokens, width), tokens in reading order,
        and the logits.
        """
        features, logits = self(pixels)
        tokens = _by_token(features, grid)
        return layer_norm(tokens, tokens.shape[-1:]), logits


class OverlayTeacher(_Convolutions):
    """Tells for each visual token what is drawn over it."""

    def __init__(self, width: int = 48) -> None:
        super().__init__(width)
        self.head = nn.Linear(self.width, len(KINDS))

    def forward(self, pixels: torch.Tensor, grid: Grid) -> torch.Tensor:
        """(B, 3, H, W) → logits (B, tokens, KINDS)."""
        logits: torch.Tensor = self.head(_by_token(self.features(pixels), grid))
        return logits

    @torch.no_grad()
    def teach(self, pixels: torch.Tensor, grid: Grid) -> torch.Tensor:
        """What the vision tower should see: normalised features (B, tokens, width)."""
        tokens = _by_token(self.features(pixels), grid)
        return layer_norm(tokens, tokens.shape[-1:])


def _by_token(features: torch.Tensor, grid: Grid) -> torch.Tensor:
    """(B, width, H, W) → (B, tokens, width), tokens in reading order."""
    return adaptive_avg_pool2d(features, grid).flatten(2).transpose(1, 2)
