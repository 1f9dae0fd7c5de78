"""Tells whoever wrote an object what the gateway made of it: its status says `Accepted`, or what is wrong."""

import asyncio
from datetime import UTC, datetime

import structlog

from ostiary.wire.reloads import Reloads
from ostiary_gateway.kubernetes.api_server import APPLY_PATCH, ApiFailure, ApiServer, Json, Resource
from ostiary_gateway.kubernetes.last_known import KEPT
from ostiary_gateway.kubernetes.outgoing import Outgoing

_log = structlog.get_logger(__name__)
_MANAGER = "ostiary-gateway"
_LONGEST = 4000
_TRIES = 5


class Acceptance:
    """Logs, counts and writes down what became of objects. For one event loop; run `run` beside the server.

    All gateways of a namespace come to the same, so each writes only what the object does not say already.
    """

    def __init__(self, server: ApiServer) -> None:
        self._server = server
        self._told: dict[tuple[str, str], tuple[str, int, str]] = {}
        self._outgoing = Outgoing(self._write)

    def say(self, resource: Resource, written: Json, problem: str) -> None:
        """An object was taken up or, for what `problem` says, refused; saying it twice does nothing, nor does
        saying it of one that was kept on disk.
        """
        if KEPT in written:
            return
        metadata = written["metadata"]
        key, generation = (resource.plural, metadata["name"]), int(metadata.get("generation", 0))
        news = (metadata["uid"], generation, problem)
        if self._told.get(key) == news:
            return
        self._told[key] = news
        named = f"{resource.plural}/{metadata['name']}"
        if problem:
            Reloads(named).rejected()
            _log.error("kept the last good version", object=named, generation=generation, error=problem)
        else:
            Reloads(named).applied()
            _log.info("took up", object=named, generation=generation)
        condition = _condition(written, problem)
        if condition is not None:
            place = (resource, str(metadata["name"]))
            self._outgoing.put(place, _status(resource, written, condition))

    async def run(self) -> None:
        """Write what was said, until cancelled."""
        await self._outgoing.run()

    async def _write(self, place: tuple[Resource, str], body: Json) -> None:
        """People can do without it: after a few tries it is left, and the log has it."""
        resource, name = place
        for attempt in range(_TRIES):
            try:
                await self._server.patch(
                    resource, name, body, APPLY_PATCH, "status", fieldManager=_MANAGER, force="true"
                )
            except ApiFailure as failure:
                if 400 <= failure.code < 500 and failure.code not in (409, 429):
                    if failure.code != 404:  # it is gone, and so is whoever would read it
                        _log.warning(
                            "status not written", object=f"{resource.plural}/{name}", why=str(failure)
                        )
                    return
                await asyncio.sleep(max(failure.retry_after, 0.2 * 2**attempt))
            else:
                return


def _condition(written: Json, problem: str) -> Json | None:
    """The condition to write; None where the object has it."""
    conditions = (written.get("status") or {}).get("conditions") or ()
    there: Json = next((one for one in conditions if one.get("type") == "Accepted"), {})
    generation = int(written["metadata"].get("generation", 0))
    said = {
        "type": "Accepted",
        "status": "False" if problem else "True",
        "reason": "Invalid" if problem else "Valid",
        "message": problem[:_LONGEST],
        "observedGeneration": generation,
    }
    if {name: there.get(name) for name in said} == said:
        return None
    now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    same = there.get("status") == said["status"] and there.get("lastTransitionTime")
    return {**said, "lastTransitionTime": there["lastTransitionTime"] if same else now}


def _status(resource: Resource, written: Json, condition: Json) -> Json:
    return {
        "apiVersion": f"{resource.group}/{resource.version}",
        "kind": resource.kind,
        "metadata": {"name": written["metadata"]["name"], "uid": written["metadata"]["uid"]},
        "status": {"observedGeneration": condition["observedGeneration"], "conditions": [condition]},
    }
