"""The registries of all BrandRegistries of a namespace."""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import NoReturn

import structlog

from ostiary.v1.config_pb2 import BrandRegistry
from ostiary.wire.errors import OstiaryError, Reason
from ostiary_gateway.brand_source import Standing
from ostiary_gateway.brands.in_force import Brands, Registry
from ostiary_gateway.brands.lint import faults, overlaps
from ostiary_gateway.kubernetes.acceptance import Acceptance
from ostiary_gateway.kubernetes.api_server import REGISTRIES, Json
from ostiary_gateway.kubernetes.last_known import Keep, keep_nothing
from ostiary_gateway.kubernetes.written import message_of

_log = structlog.get_logger(__name__)
_MOST_FAULTS = 5


class KubernetesBrandSource:
    """Registries that are objects, taken up when they change; a bad one leaves its last good version in
    force. See BrandSource. For one event loop; run `run` beside the server.
    """

    def __init__(
        self,
        acceptance: Acceptance,
        clock: Callable[[], float] = time.monotonic,
        *,
        grace: float = 60.0,
        keep: Keep = keep_nothing,
    ) -> None:
        """
        Args:
            acceptance: is told what became of the objects.
            clock: monotonic seconds.
            grace: seconds for which pods may compare with an earlier gallery.
            keep: is given the objects that are in force.
        """
        self._acceptance = acceptance
        self._keep = keep
        self._good: Mapping[str, Json] = {}
        self._standing = Standing((), clock, grace)
        self._read: dict[tuple[str, int], Registry | str] = {}
        self._latest: Mapping[str, Json] = {}
        self._woken = asyncio.Event()
        self.problem = "the brand registries were not listed yet"
        """Why not all registries that there are are in force, in words; empty where they are."""

    def brands(self) -> Brands:
        """Those in force now; never raises."""
        return self._standing.brands()

    def put(self, message: BrandRegistry) -> NoReturn:
        """Refused: the object is changed where it is. Raises OstiaryError."""
        raise OstiaryError(
            Reason.FAILED_PRECONDITION,
            f"Brand registries are objects of a Kubernetes cluster: change the BrandRegistry {message.name} "
            "there, such as with `kubectl apply`; a dry run says here what it would do",
        )

    def take_registries(self, objects: Mapping[str, Json]) -> None:
        """The BrandRegistries of the namespace have changed."""
        self._latest = dict(objects)
        self._woken.set()

    async def run(self) -> None:
        """Take up what has changed, until cancelled: megabytes of images are read beside the event loop."""
        while True:
            await self._woken.wait()
            self._woken.clear()
            try:
                await self._take_up(self._latest)
            except Exception:  # whatever it is, what is in force stays so
                _log.exception("kept the last good registries")

    async def _take_up(self, objects: Mapping[str, Json]) -> None:
        read: dict[tuple[str, int], Registry | str] = {}
        for written in objects.values():
            key = _edition(written)
            known = self._read.get(key)
            read[key] = known if known is not None else await asyncio.to_thread(_registry, written)
        self._read = read
        before = self._standing.registries
        registries: dict[str, Registry] = {}
        problems: dict[str, str] = {}
        for name, written in sorted(objects.items()):
            found = read[_edition(written)]
            if isinstance(found, Registry):
                registries[name] = _same(found, before.get(name))
            else:
                problems[name] = found
                if name in before:
                    registries[name] = before[name]
        if clashes := list(overlaps([one.message for one in registries.values()])):
            # Which of two that overlap is right cannot be known here: all stay as they were.
            registries = dict(before)
            problems |= {name: str(fault) for name, fault in clashes}
        self._standing.replace(registries)
        if not clashes:
            self._good = {
                name: self._good[name] if name in problems else objects[name] for name in registries
            }
        self._keep(REGISTRIES, self._good)
        for name, written in objects.items():
            self._acceptance.say(REGISTRIES, written, problems.get(name, ""))
        self.problem = "; ".join(f"BrandRegistry {name}: {why}" for name, why in sorted(problems.items()))


def _edition(written: Json) -> tuple[str, int]:
    """Changes when the spec does."""
    return written["metadata"]["uid"], int(written["metadata"].get("generation", 0))


def _registry(written: Json) -> Registry | str:
    """The registry, or what is wrong with it."""
    try:
        message = message_of(written, BrandRegistry)
    except ValueError as error:
        return str(error)
    wrong = [str(fault) for fault in faults(message)]
    if wrong:
        more = len(wrong) - _MOST_FAULTS
        return "; ".join(wrong[:_MOST_FAULTS]) + (f"; and {more} more" if more > 0 else "")
    return Registry.of(message)


def _same(read: Registry, before: Registry | None) -> Registry:
    """What was there before, where it is the same."""
    return before if before is not None and before.digest == read.digest else read
