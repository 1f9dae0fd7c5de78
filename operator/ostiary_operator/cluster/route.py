"""TrafficRoute, to and from the JSON of the message `ostiary.v1` TrafficRoute, which gateways read. Pure."""

from __future__ import annotations

from google.protobuf.json_format import MessageToDict, ParseDict, ParseError

from ostiary.v1.config_pb2 import TrafficRoute
from ostiary_operator.cluster.kinds import Json, owner_reference
from ostiary_operator.rollout.actions import WriteRoute
from ostiary_operator.rollout.snapshot import Route


def route_object(owner: Json, model: str, before: Json | None, wanted: WriteRoute) -> Json:
    """What the keeper says of a route. Pins, and what is to be done without a pod, are for others to say.

    With the version of the route that the decision was made from: whoever decides from an older one is told.
    """
    message = TrafficRoute(name=model, epoch=wanted.epoch)
    for name in sorted({*wanted.weights, *wanted.mirrors, *pinned(before)}):
        message.versions.add(name=name, weight=wanted.weights.get(name, 0))
    for name, share in sorted(wanted.mirrors.items()):
        message.mirrors.add(version=name, share=share)
    metadata: Json = {"name": model, "namespace": owner["metadata"]["namespace"]}
    if before is not None:
        metadata["resourceVersion"] = before["metadata"]["resourceVersion"]
    return {
        "metadata": {**metadata, "ownerReferences": [owner_reference(owner)]},
        "spec": MessageToDict(message),
    }


def pinned(obj: Json | None) -> frozenset[str]:
    """Versions that somebody is fixed to by a pin: they get traffic whatever their weight."""
    return frozenset(pin.version for pin in _message(obj).pins)


def written(obj: Json | None, acked: int) -> Route:
    """The route as it stands; `acked`: the greatest epoch of it that a gateway ever said it has applied.

    Where there is none, or none that can be read, the next one's epoch is still to be above that: an old
    acknowledgement must not pass for one of the new route.
    """
    message = _message(obj)
    if not message.versions:
        return Route(epoch=acked)
    weights = {one.name: one.weight for one in message.versions if one.weight}
    mirrors = {one.version: one.share for one in message.mirrors if one.share}
    return Route(message.epoch, weights, mirrors, pinned(obj))


def _message(obj: Json | None) -> TrafficRoute:
    message = TrafficRoute()
    try:
        ParseDict((obj or {}).get("spec") or {}, message, ignore_unknown_fields=True)
    except ParseError:
        return TrafficRoute()
    return message
