"""From raw margins to probabilities, and from a target precision to a threshold. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ostiary_moderation.bundle.schema import Probability, Strict


class PrecisionPoint(Strict):
    """One row of the precision-to-threshold table, measured on photographs held out from training."""

    precision: Probability = Field(description="Precision reached at the threshold.")
    threshold: Probability = Field(description="Lowest calibrated probability that reaches it.")
    recall: Probability = Field(description="Share of the positives that is at or above the threshold.")


class Calibration(Strict):
    """Raw margin → probability, sigmoid(slope * margin + intercept), and what precision it reaches from
    where.

    `prevalence`: the share of positives that probabilities and precisions are meant for; both change with it.
    """

    slope: float = Field(gt=0.0, default=1.0)
    intercept: float = 0.0
    prevalence: float = Field(gt=0.0, lt=1.0, default=0.5)
    table: tuple[PrecisionPoint, ...] = ()

    def probability(self, margin: float) -> float:
        """Calibrated probability of yes, from the margin logit(yes) - logit(no)."""
        x = max(-60.0, min(60.0, self.slope * margin + self.intercept))
        return 1.0 / (1.0 + math.exp(-x))

    def threshold(self, precision: float) -> float | None:
        """Lowest threshold whose measured precision is at least `precision`; None where no row reaches it."""
        reached = [point.threshold for point in self.table if point.precision >= precision - 1e-9]
        return min(reached, default=None)


class ValueCalibration(Strict):
    """Raw logits of an attribute's values → probabilities: softmax(slope * logit + bias of the value).

    `biases`: by value; none means 0. Vector scaling with one slope (Guo et al., On Calibration of Modern
    Neural Networks, 2017).
    """

    slope: float = Field(gt=0.0, default=1.0)
    biases: Mapping[str, float] = Field(default_factory=dict)

    def probabilities(self, values: Sequence[str], logits: NDArray[np.floating]) -> NDArray[np.float64]:
        """Probability of each value, from its logit; both (len(values),)."""
        scaled = self.slope * logits.astype(np.float64) + self._of(values)
        weights = np.exp(scaled - scaled.max())
        return np.asarray(weights / weights.sum(), dtype=np.float64)

    def logits(self, values: Sequence[str], probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
        """Logits that have these probabilities, (len(values),): the raw ones but for a constant."""
        known = np.log(np.maximum(probabilities.astype(np.float64), np.finfo(np.float64).tiny))
        return np.asarray((known - self._of(values)) / self.slope, dtype=np.float64)

    def _of(self, values: Sequence[str]) -> NDArray[np.float64]:
        return np.array([self.biases.get(value, 0.0) for value in values], dtype=np.float64)


NEUTRAL = ValueCalibration()
"""Takes the model at its word."""
