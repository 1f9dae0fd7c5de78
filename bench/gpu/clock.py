"""Time on a device whose work is queued."""

from __future__ import annotations

import time

import torch


def now(device: torch.device) -> float:
    """Milliseconds, once the device has nothing left to do."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() * 1e3
