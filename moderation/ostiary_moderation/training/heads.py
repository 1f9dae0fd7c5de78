"""Linear heads that teach the vision tower before the text tower can. They are not part of the checkpoint."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import (
    binary_cross_entropy_with_logits,
    cosine_similarity,
    cross_entropy,
    kl_div,
    log_softmax,
)

from ostiary_moderation.training.gallery import LABELS, Views
from ostiary_moderation.training.scenes import KINDS

# What a garment is is the hardest to learn.
LABEL_WEIGHTS = {"category": 1.0, "colour": 1.0, "pattern": 0.4, "audience": 0.3}
# Colours are easy to see and the labels are good: the teacher knows them no better.
OPINION_WEIGHTS = {**LABEL_WEIGHTS, "colour": 0.3}
SMOOTHING = 0.1
COVER_WEIGHT = 4.0  # of a covered token against a bare one: most are bare


class VisionHeads(nn.Module):
    """What covers each visual token, the teachers' features there, and the product's labels.

    `garment_width`, `overlay_width`: of the teachers' features.
    """

    def __init__(self, width: int, garment_width: int, overlay_width: int) -> None:
        super().__init__()
        self.cover = nn.Linear(width, len(KINDS))
        self.garment = nn.Linear(width, garment_width)
        self.overlay = nn.Linear(width, overlay_width)
        self.attention = nn.Linear(width, 1)
        self.labels = nn.Linear(width, sum(map(len, LABELS.values())))

    def logits(self, tokens: torch.Tensor) -> dict[str, torch.Tensor]:
        """(B, tokens, width) → logits (B, values) by label, from a weighted mean of the tokens."""
        pooled = (self.attention(tokens).softmax(dim=1) * tokens).sum(dim=1)
        parts = self.labels(pooled).split([len(values) for values in LABELS.values()], dim=1)
        return dict(zip(LABELS, parts, strict=True))

    def cover_loss(self, tokens: torch.Tensor, cover: torch.Tensor) -> torch.Tensor:
        """`cover`: (B, tokens, kinds) bool."""
        return cover_loss(self.cover(tokens), cover)

    def overlay_loss(self, tokens: torch.Tensor, taught: torch.Tensor) -> torch.Tensor:
        """Towards the teacher's features (B, tokens, width), token by token."""
        return (1.0 - cosine_similarity(self.overlay(tokens), taught, dim=-1)).mean()

    def garment_loss(
        self,
        tokens: torch.Tensor,
        views: Views,
        taught: tuple[torch.Tensor, dict[str, torch.Tensor]],
    ) -> torch.Tensor:
        """Towards the labels, and towards the teacher: its features token by token, and its opinion."""
        features, opinion = taught
        likeness = cosine_similarity(self.garment(tokens), features, dim=-1)
        logits = self.logits(tokens)
        loss = 2.0 * (1.0 - likeness).mean() + label_loss(logits, views)
        for name, weight in OPINION_WEIGHTS.items():
            target = opinion[name].softmax(dim=1)
            loss = loss + weight * kl_div(log_softmax(logits[name], dim=1), target, reduction="batchmean")
        return loss


def cover_loss(logits: torch.Tensor, cover: torch.Tensor) -> torch.Tensor:
    """Of logits (B, tokens, kinds) against `cover`, the same in bool. Mean over tokens and kinds."""
    weight = torch.tensor(COVER_WEIGHT)
    return binary_cross_entropy_with_logits(logits, cover.float(), pos_weight=weight)


def label_loss(logits: dict[str, torch.Tensor], views: Views) -> torch.Tensor:
    """Weighted cross-entropy over the labels, mean over the batch. Colour does not count in blends."""
    weights = {
        name: weight for name, weight in LABEL_WEIGHTS.items() if name != "colour" or not views.blended
    }
    losses = [
        weight * cross_entropy(logits[name], views.labels[name], label_smoothing=SMOOTHING)
        for name, weight in weights.items()
    ]
    return torch.stack(losses).sum()
