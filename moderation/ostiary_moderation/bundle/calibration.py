"""From raw margins to probabilities, and from a target precision to a threshold. Pure."""

from __future__ import annotations

import math

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
