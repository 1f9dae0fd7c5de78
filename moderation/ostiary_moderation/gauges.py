"""How much of the machine the pod uses."""

import importlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_STATM = Path("/proc/self/statm")
# Limits of the container, by version of control groups.
_CGROUP_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)


@dataclass(frozen=True, slots=True)
class Usage:
    """Memory in bytes, of the GPU where there is one; GPU utilisation from 0 to 1, None without a GPU."""

    memory_used: int
    memory_total: int
    gpu_utilisation: float | None = None


class Gauges:
    """Reads the first GPU through nvidia-ml-py where that is installed and finds one, else the host."""

    def __init__(self) -> None:
        self._nvml, self._gpu = _open_gpu()

    def read(self) -> Usage:
        """Return the use at this moment."""
        if self._nvml is None:
            return Usage(resident_bytes(), memory_limit())
        memory = self._nvml.nvmlDeviceGetMemoryInfo(self._gpu)
        rates = self._nvml.nvmlDeviceGetUtilizationRates(self._gpu)
        return Usage(int(memory.used), int(memory.total), rates.gpu / 100)


def _open_gpu() -> tuple[Any, Any]:
    try:
        nvml = importlib.import_module("pynvml")
        nvml.nvmlInit()
        return nvml, nvml.nvmlDeviceGetHandleByIndex(0)
    except Exception:  # not installed, no driver, no GPU: all mean that the host is what counts
        return None, None


def resident_bytes() -> int:
    """Return the resident set size of this process."""
    return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def memory_limit() -> int:
    """Return the memory that this process may use: the container's limit, or all that the machine has."""
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limits = [path.read_text().strip() for path in _CGROUP_LIMITS if path.is_file()]
    return min([machine, *(int(limit) for limit in limits if limit.isdigit())])
