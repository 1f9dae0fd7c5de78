"""Heads that teach the vision tower while the text tower is still untaught. They are not part of the
checkpoint.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from ostiary_moderation.training.colours import COLOURS
from ostiary_moderation.training.feed import Batch
from ostiary_moderation.training.photos import AUDIENCES, CATEGORIES
from ostiary_moderation.training.scenes import KINDS


class AuxiliaryHeads(nn.Module):
    """What covers each visual token, and what the product is, read linearly from the visual tokens."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.dense = nn.Linear(width, len(KINDS))
        self.attention = nn.Linear(width, 1)
        self.product = nn.Linear(width, len(CATEGORIES) + len(COLOURS) + len(AUDIENCES))

    def loss(self, tokens: torch.Tensor, batch: Batch) -> torch.Tensor:
        """`tokens`: (B, visual tokens, width). Mean loss over the kinds of cover, category, colour and
        audience.
        """
        dense = torch.from_numpy(batch.dense).float()
        cover = binary_cross_entropy_with_logits(self.dense(tokens), dense, pos_weight=torch.tensor(3.0))
        pooled = (self.attention(tokens).softmax(dim=1) * tokens).sum(dim=1)
        category, colour, audience = self.product(pooled).split(
            [len(CATEGORIES), len(COLOURS), len(AUDIENCES)], dim=1
        )
        product = cross_entropy(category, torch.from_numpy(batch.category), label_smoothing=0.05)
        product = product + 0.5 * cross_entropy(colour, torch.from_numpy(batch.colour))
        return 4.0 * cover + 0.5 * (product + 0.5 * cross_entropy(audience, torch.from_numpy(batch.audience)))
