"""What SREs order: requests to the rollout, and overrides past it."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from ostiary_operator.kubectl.access import OSTIARY, Cluster
from ostiary_operator.kubectl.failure import Changed, Failure
from ostiary_operator.kubectl.rollout import Rollout
from ostiary_operator.kubectl.seeing import see
from ostiary_operator.kubectl.words import share
from ostiary_operator.resources.asked import REQUEST, annotation
from ostiary_operator.resources.model_override import ModelOverrideSpec
from ostiary_operator.resources.part import WHOLE
from ostiary_operator.rollout.hearing import FOLLOWED, stage
from ostiary_operator.rollout.snapshot import Request, Verb

_LOOK_SECONDS = 0.5
_TRIES = 10
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Ordered:
    """A rollback that was ordered: the override's name, and where it leads to."""

    name: str
    to: str
    rollout: Rollout


async def ask(cluster: Cluster, name: str, verb: Verb, *, force: bool = False) -> Request:
    """Asks something of a rollout that it can do now, as it was seen: should it be elsewhere by the time that
    the keeper looks, the keeper refuses it.

    Raises:
        Failure: it cannot, another request is not acted on yet, or the cluster refuses.
    """
    for _ in range(_TRIES):
        rollout = await see(cluster, name)
        request = _wanted(rollout, verb, force)
        if _stands_already(rollout, request):
            return rollout.pending or request
        seen = {"resourceVersion": rollout.resource_version, "uid": rollout.uid}
        change = {"metadata": {**seen, "annotations": {REQUEST: annotation(request)}}}
        with suppress(Changed):
            await cluster.merge("modeldeployments", name, change)
            return request
    raise Failure(f"{name} changes faster than it can be asked: try again")


def _wanted(rollout: Rollout, verb: Verb, force: bool) -> Request:
    """Raises Failure where nothing would come of it."""
    name, status, id_ = rollout.name, rollout.status, f"{verb}-{uuid.uuid4().hex[:8]}"
    if verb == "retry":
        if status.rejected is None:
            raise Failure(f"{name}: no version was taken back: there is nothing to try again")
        return Request(verb, id_, force, status.rejected, of=rollout.uid)
    version = rollout.coming if verb == "abort" else status.candidate
    if version is None:
        raise Failure(
            f"{name}: no version is on its way ({status.stable or 'none'} serves): there is nothing to "
            f"{verb.partition('-')[0]}; name another version in versionRef to begin"
        )
    if status.gate is not None and verb.startswith("promote") and not force:
        why = rollout.condition("Progressing")
        raise Failure(
            f"{name}: {status.candidate} has not passed {why.message if why else f'gate {status.gate}'}; "
            "promote --force lets it past"
        )
    return Request(verb, id_, force, version, stage(status) if verb == "promote" else None, rollout.uid)


def _stands_already(rollout: Rollout, wanted: Request) -> bool:
    """Whether the same was asked and is not acted on yet. An abort comes before whatever else was asked; else
    one request does not take the place of another that nobody has looked at.

    Raises:
        Failure: another one is there.
    """
    pending = rollout.pending
    if pending is None:
        return False
    if replace(pending, id=wanted.id) == wanted:
        return True
    if wanted.verb == "abort":
        return False
    raise Failure(
        f"{rollout.name}: {pending.verb} ({pending.id}) was asked before, and the keeper has not acted on it "
        f"yet; to withdraw it: kubectl annotate modeldeployment {rollout.name} {REQUEST}-"
    )


def refused(rollout: Rollout) -> str:
    """Why the keeper did not do what was asked last; empty: it did."""
    said = rollout.condition(FOLLOWED)
    return said.message if said is not None and said.status == "False" else ""


async def answered(cluster: Cluster, name: str, request: Request, seconds: float) -> Rollout | None:
    """The rollout once the keeper has followed or refused a request; None where it has not within
    `seconds`.
    """
    ends = time.monotonic() + seconds
    while True:
        rollout = await see(cluster, name)
        if rollout.status.answered == request.id:
            return rollout
        if time.monotonic() >= ends:
            return None
        await asyncio.sleep(_LOOK_SECONDS)


async def set_paused(cluster: Cluster, name: str, *, paused: bool) -> bool:
    """Holds a rollout where it is, or lets it go on; False where it was so already. Raises Failure."""
    rollout = await see(cluster, name)
    if rollout.spec.paused == paused:
        return False
    await cluster.merge("modeldeployments", name, {"spec": {"paused": paused}})
    return True


async def order_rollback(
    cluster: Cluster, name: str, to: str | None, reason: str, actor: str | None, seconds: float
) -> Ordered:
    """Orders all traffic to go to a version, for so many seconds.

    Raises:
        Failure: there is no such version, or nothing to go back to.
    """
    rollout = await see(cluster, name)
    target = _destination(rollout, to)
    spec = ModelOverrideSpec(
        target=name,
        order="Rollback",
        to_version=target,
        reason=reason,
        actor=(actor or await cluster.who())[:253],
        expires_at=cluster.now() + seconds,
    )
    made = await cluster.create(
        "modeloverrides",
        {
            "apiVersion": OSTIARY.removeprefix("apis/"),
            "kind": "ModelOverride",
            "metadata": {"generateName": f"{name[:200]}-rollback-"},
            "spec": spec.model_dump(mode="json", by_alias=True, exclude_none=True),
        },
    )
    return Ordered(str(made["metadata"]["name"]), target, rollout)


def _destination(rollout: Rollout, to: str | None) -> str:
    there = sorted(name for name, one in rollout.versions.items() if one.spec is not None)
    if to is not None:
        if to not in there:
            known = ", ".join(there) or "none"
            raise Failure(f"there is no ModelVersion {to} of model {rollout.spec.model}: there are {known}")
        return to
    ready, status = rollout.status.rollback_ready, rollout.status
    if status.candidate is not None and status.stable is not None:
        return status.stable
    if ready is not None:
        return ready.version
    others = [name for name in there if name != status.stable]
    raise Failure(
        f"{rollout.name}: no earlier version is known to go back to: name one with --to: "
        f"{', '.join(others) or 'there is no other'}"
    )


def arrived(rollout: Rollout, version: str) -> bool:
    """Whether a version has all traffic, and every live gateway has said so."""
    live = [one for one in rollout.gateways if one.live]
    whole = rollout.weights == {version: WHOLE}
    return whole and bool(live) and all(one.epoch >= rollout.epoch for one in live)


async def followed(cluster: Cluster, ordered: Ordered, seconds: float, tell: Tell) -> Rollout | None:
    """Tells how a rollback goes; the rollout when it is there, or None where that takes longer.

    `tell` gets a line when something has changed.
    """
    began, last = time.monotonic(), ""
    while True:
        rollout = None
        try:
            rollout = await see(cluster, ordered.rollout.name)
            line = progress(rollout)
        except Failure as failure:
            line = str(failure)  # the order stands, whatever becomes of this look
        if line != last:
            tell(f"{time.monotonic() - began:6.1f} s  {line}")
            last = line
        if rollout is not None and arrived(rollout, ordered.to):
            return rollout
        if time.monotonic() - began >= seconds:
            return None
        await asyncio.sleep(_LOOK_SECONDS)


def progress(rollout: Rollout) -> str:
    """Where the traffic goes, and how far gateways are."""
    weights = "  ".join(f"{name} {share(points)}" for name, points in sorted(rollout.weights.items()))
    live = [one for one in rollout.gateways if one.live]
    there = sum(one.epoch >= rollout.epoch for one in live)
    gateways = f"gateways {there}/{len(live)} at epoch {rollout.epoch}"
    return f"{weights or 'no route'}  {gateways}  {rollout.status.phase}"
