"""Faults as an object: a ConfigMap says what shall go wrong, so that `kubectl` can set it."""

from collections.abc import Iterable
from typing import Any

from ostiary_operator.sandbox.api.store import Bucket, Event, Key
from ostiary_operator.sandbox.controllers.desk import Desk
from ostiary_operator.sandbox.faults import Faults, Plan

Json = dict[str, Any]
PLACE: Key = ("kube-system", "sandbox-faults")


class Weather:
    """Follows the ConfigMap `sandbox-faults` in `kube-system`."""

    def __init__(self, desk: Desk, faults: Faults) -> None:
        self._desk = desk
        self._faults = faults

    def concerned(self, bucket: Bucket, event: Event) -> Iterable[Key]:
        """That one ConfigMap."""
        return (PLACE,) if bucket == "configmaps." and event.key == PLACE else ()

    async def reconcile(self, key: Key) -> float | None:
        """Sets the faults that are named; what is not named happens no longer."""
        found = self._desk.get("configmaps.", key)
        plan = Plan()
        try:
            wanted = {name: float(value) for name, value in ((found or {}).get("data") or {}).items()}
            self._faults.plan = plan
            self._faults.set(**wanted)
        except ValueError as error:
            if found is not None:
                await self._desk.tell(found, "Warning", "BadFault", str(error))
        return None
