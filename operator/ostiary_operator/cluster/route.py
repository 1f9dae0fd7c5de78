"""TrafficRoute, to and from the JSON of the message `ostiary.v1` TrafficRoute, which gateways read. Pure."""

from __future__ import annotations

import json
from dataclasses import asdict

from google.protobuf.json_format import MessageToDict, ParseDict, ParseError

from ostiary.v1.config_pb2 import TrafficRoute
from ostiary_operator.cluster.kinds import AUDIENCE, Json, annotated, owner_reference
from ostiary_operator.rollout.actions import WriteRoute
from ostiary_operator.rollout.snapshot import Pin, Route


def route_object(owner: Json, model: str, before: Json | None, wanted: WriteRoute) -> Json:
    """What the keeper says of a route. What is to be done without a pod, and all pins but its own, are for
    others to say; which are its own, an annotation says.

    With the version of the route that the decision was made from: whoever decides from an older one is told.
    """
    message = TrafficRoute(name=model, epoch=wanted.epoch)
    others = {pin.version for pin in _pins(before) - _own(before)}
    named = {pin.version for pin in wanted.audience}
    for name in sorted({*wanted.weights, *wanted.mirrors, *named, *others}):
        message.versions.add(name=name, weight=wanted.weights.get(name, 0))
    for name, share in sorted(wanted.mirrors.items()):
        message.mirrors.add(version=name, share=share)
    metadata: Json = {"name": model, "namespace": owner["metadata"]["namespace"]}
    if before is not None:
        metadata["resourceVersion"] = before["metadata"]["resourceVersion"]
    spec = MessageToDict(message)
    if wanted.audience:
        # Whole, empty keys too: the API server tells pins apart by tenant and header.
        spec["pins"] = [_written(pin) for pin in sorted(wanted.audience)]
        own = json.dumps([[pin.tenant, pin.header] for pin in sorted(wanted.audience)])
        metadata["annotations"] = {AUDIENCE: own}
    return {"metadata": {**metadata, "ownerReferences": [owner_reference(owner)]}, "spec": spec}


def _written(pin: Pin) -> Json:
    whole = asdict(pin)
    return whole if pin.arm else {name: value for name, value in whole.items() if name != "arm"}


def _pins(obj: Json | None) -> frozenset[Pin]:
    return frozenset(Pin(pin.tenant, pin.header, pin.version, pin.arm) for pin in _message(obj).pins)


def _own(obj: Json | None) -> frozenset[Pin]:
    """The pins that the keeper has written; none where the annotation does not say."""
    said = annotated(obj).get(AUDIENCE, "[]") if obj is not None else "[]"
    try:
        keys = {(tenant, header) for tenant, header in json.loads(said)}
    except (TypeError, ValueError):
        return frozenset()
    return frozenset(pin for pin in _pins(obj) if (pin.tenant, pin.header) in keys)


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
    pinned = frozenset(pin.version for pin in _pins(obj))
    return Route(message.epoch, weights, mirrors, pinned, _own(obj))


def _message(obj: Json | None) -> TrafficRoute:
    message = TrafficRoute()
    try:
        ParseDict((obj or {}).get("spec") or {}, message, ignore_unknown_fields=True)
    except ParseError:
        return TrafficRoute()
    return message
