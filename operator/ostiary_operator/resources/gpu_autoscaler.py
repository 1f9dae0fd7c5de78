"""GPUAutoscaler's status; its spec is `ostiary_operator.autoscaling.spec`."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from ostiary_operator.resources.conditions import Condition
from ostiary_operator.resources.part import Part, Time


class AutoscalerStatus(Part):
    """`decisions`: the newest ones, each from its inputs over every clamp to what came of it."""

    observed_generation: int = 0
    current_replicas: int = 0
    desired_replicas: int = 0
    last_scale_time: Time | None = None
    conditions: tuple[Condition, ...] = ()
    decisions: tuple[dict[str, Any], ...] = Field(default=(), max_length=20)
