"""ModelOverride: what an SRE orders past the rollout. An object of its own, so that GitOps neither owns it
nor takes it back, and so that it ends by itself.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from ostiary_operator.resources.conditions import Condition
from ostiary_operator.resources.part import Name, Part, Time

Order = Literal["Rollback", "Pin", "Freeze"]


class ModelOverrideSpec(Part):
    """`order`: Rollback and Pin send all traffic to `to_version`, Freeze keeps weights and replicas as they
    are, until `expires_at`.

    A Rollback without `to_version` goes to the last stable version before the present one.
    """

    target: Name
    order: Order
    to_version: Name | None = None
    reason: str = Field(min_length=1, max_length=500)
    actor: str = Field(min_length=1, max_length=253)
    expires_at: Time

    @model_validator(mode="after")
    def _fits_the_order(self) -> ModelOverrideSpec:
        if self.order == "Pin" and self.to_version is None:
            raise ValueError("toVersion: a Pin needs it; say which version gets all traffic")
        if self.order == "Freeze" and self.to_version is not None:
            raise ValueError("toVersion: a Freeze has none; it keeps weights as they are")
        return self


class ModelOverrideStatus(Part):
    """What became of the order."""

    conditions: tuple[Condition, ...] = ()
