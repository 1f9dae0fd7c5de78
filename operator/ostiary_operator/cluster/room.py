"""How many pods a namespace's quotas have room for. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal, InvalidOperation

from ostiary_operator.cluster.kinds import Json
from ostiary_operator.resources.model_version import GpuRequest

_PODS = ("pods", "count/pods")
_UNITS = {"": 1, "k": 1000, "M": 1_000_000}


def room(quotas: Iterable[Json], gpu: GpuRequest, there: int) -> int | None:
    """Pods that a version may have, with those `there` that it has; None where no quota counts pods or their
    GPUs. A quota that cannot be read has no room.
    """
    each = dict.fromkeys(_PODS, 1)
    if gpu.count:
        each |= {f"{word}.{gpu.resource}": gpu.count for word in ("requests", "limits")}
    found = []
    for quota in quotas:
        status = quota.get("status") or {}
        hard = status.get("hard") or (quota.get("spec") or {}).get("hard") or {}
        used = status.get("used") or {}
        for name, amount in each.items():
            if name in hard:
                found.append(_left(hard[name], used.get(name, 0)) // amount)
    return max(0, min(found)) + there if found else None


def _left(hard: object, used: object) -> int:
    try:
        return int(_number(hard) - _number(used))
    except (InvalidOperation, KeyError):
        return 0


def _number(quantity: object) -> Decimal:
    """Pods and GPUs come in whole numbers; Kubernetes may write them as `2k`."""
    text = str(quantity)
    digits = text.rstrip("kM")
    return Decimal(digits) * _UNITS[text[len(digits) :]]
