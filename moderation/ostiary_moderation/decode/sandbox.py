"""How a decoding worker gives up what it does not need, before it sees the first byte of an image.

The kernel's resource limits and an empty network namespace. A stricter sandbox (system calls, file system)
implements the same protocol.
"""

import ctypes
import os
import resource
from typing import Protocol

from ostiary_moderation.decode.limits import Limits

_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
_PR_SET_DUMPABLE = 4
_PR_SET_NO_NEW_PRIVS = 38
_OPEN_FILES = 16


class Sandbox(Protocol):
    """Confines the calling process, for good."""

    def enter(self) -> tuple[str, ...]:
        """Confine the process; return what holds and what does not, in words for the pod's log."""

    def next_image(self) -> None:
        """Renew the allowances that count per image."""


class ResourceSandbox:
    """Limits on memory, processor time, files and core dumps; no network where the kernel permits it."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    def enter(self) -> tuple[str, ...]:
        """Confine the process. A network namespace that is refused (no privilege) is reported, not fatal."""
        network = _leave_network()
        _prctl(_PR_SET_NO_NEW_PRIVS, 1)
        _prctl(_PR_SET_DUMPABLE, 0)
        for what, bound in (
            (resource.RLIMIT_AS, self._limits.memory_bytes),
            (resource.RLIMIT_NOFILE, _OPEN_FILES),
            (resource.RLIMIT_FSIZE, 0),
            (resource.RLIMIT_CORE, 0),
        ):
            _, hard = resource.getrlimit(what)
            low = bound if hard == resource.RLIM_INFINITY else min(bound, hard)
            resource.setrlimit(what, (low, low))
        return (network, f"memory {self._limits.memory_bytes >> 20} MiB", f"cpu {self._limits.cpu_seconds} s")

    def next_image(self) -> None:
        """Allow the processor time of one more image; the kernel ends the process that takes longer."""
        usage = resource.getrusage(resource.RUSAGE_SELF)
        used = usage.ru_utime + usage.ru_stime
        _, hard = resource.getrlimit(resource.RLIMIT_CPU)
        resource.setrlimit(resource.RLIMIT_CPU, (int(used) + 1 + self._limits.cpu_seconds, hard))


def _leave_network() -> str:
    """Move into a network namespace without interfaces: directly, or by way of a user namespace."""
    libc = ctypes.CDLL(None, use_errno=True)
    for flags in (_CLONE_NEWNET, _CLONE_NEWUSER | _CLONE_NEWNET):
        if libc.unshare(flags) == 0:
            return "no network"
    return f"network not cut off: {os.strerror(ctypes.get_errno())}"


def _prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl({option}) refused")
