"""A rollout as a tree of lines, and in more words. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from ostiary_operator.kubectl.rollout import Rollout, VersionSeen
from ostiary_operator.kubectl.words import moment, share, span, step
from ostiary_operator.rollout.arms import whose

_MOST_PODS = 10


def tree(rollout: Rollout) -> list[str]:
    """Versions with their shares and pods, the analysis, gateways and the way back."""
    branches = [
        *(list(_version(rollout, one)) for one in _ordered(rollout)),
        *([line] for line in _beside(rollout)),
    ]
    lines = [headline(rollout)]
    for index, branch in enumerate(branches):
        last = index == len(branches) - 1
        lines.append(("└─ " if last else "├─ ") + branch[0])
        lines += [("   " if last else "│  ") + line for line in branch[1:]]
    return lines


def headline(rollout: Rollout) -> str:
    """Name, phase, step, and why."""
    status, steps = rollout.status, rollout.spec.strategy.canary.steps
    words = [rollout.name, status.phase]
    if status.candidate is not None and status.shadowing:
        words.append("shadow")
    elif status.candidate is not None and status.comparing:
        words.append("A/B")
    elif status.candidate is not None and steps:
        words.append(f"step {min(status.step + 1, len(steps))}/{len(steps)}")
    why = rollout.condition("Progressing")
    said = f"{why.reason}: {why.message}" if why and why.message else ""
    stale = (
        "" if status.observed_generation >= rollout.generation else " (the keeper has not seen the new spec)"
    )
    return "  ".join(words) + (f"  {said}" if said else "") + stale


def role(rollout: Rollout, name: str) -> str:
    """What a version is to the rollout; empty for nothing."""
    status = rollout.status
    if name == status.stable:
        return "stable"
    if name == status.candidate:
        return "candidate"
    if name == status.rejected:
        return "rejected"
    return "earlier" if any(entry.version == name for entry in status.history) else ""


def _ordered(rollout: Rollout) -> list[VersionSeen]:
    """The candidate, the stable version, then whatever else has a share, pods or a past."""
    order = ("candidate", "stable", "rejected", "earlier", "")
    kept = [
        one
        for one in rollout.versions.values()
        if one.replicas or rollout.weights.get(one.name) or role(rollout, one.name) in order[:3]
    ]
    return sorted(kept, key=lambda one: (order.index(role(rollout, one.name)), one.name))


def _version(rollout: Rollout, version: VersionSeen) -> Iterator[str]:
    words = [version.name, role(rollout, version.name) or "-", share(rollout.weights.get(version.name, 0))]
    if copies := rollout.mirrors.get(version.name):
        words.append(f"copies {share(copies)}")
    words.append(f"{version.ready}/{version.replicas} pods ready" if version.replicas else "no pods")
    if version.spec is None:
        words.append("its ModelVersion is gone")
    yield "  ".join(words)
    told = version.pods[:_MOST_PODS]
    for index, pod in enumerate(told):
        last = index == len(told) - 1 and len(version.pods) <= _MOST_PODS
        yield f"{'└─' if last else '├─'} pod {pod.name}  {pod.says}"
    if len(version.pods) > _MOST_PODS:
        yield f"└─ … and {len(version.pods) - _MOST_PODS} more pods"


def _beside(rollout: Rollout) -> Iterator[str]:
    for run in rollout.runs:
        if run.phase == "Running" or run.candidate == rollout.status.candidate:
            yield f"analysis {run.name}  {run.phase}" + (f"  {run.message}" if run.message else "")
    if (order := rollout.override) is not None:
        spec = order.spec
        to = f" to {spec.to_version}" if spec.to_version else ""
        ends = span(spec.expires_at - rollout.now)
        yield f"override {order.name}  {spec.order}{to} by {spec.actor}: {spec.reason}  (ends in {ends})"
    yield gateways(rollout)
    yield way_back(rollout)


def gateways(rollout: Rollout) -> str:
    """How far gateways have followed the route."""
    live = [one for one in rollout.gateways if one.live]
    if not live:
        return f"gateways: none is live; nothing moves (route epoch {rollout.epoch})"
    there = [one for one in live if one.epoch >= rollout.epoch]
    line = f"gateways: {len(there)} of {len(live)} have applied epoch {rollout.epoch}"
    behind = sorted(one.name for one in live if one.epoch < rollout.epoch)
    return line + (f"; behind: {', '.join(behind[:5])}" if behind else "")


def way_back(rollout: Rollout) -> str:
    """Whether one could roll back now, and how long it would take."""
    ready, said = rollout.status.rollback_ready, rollout.condition("RollbackReady")
    if ready is None:
        return "rollback: " + (said.message if said and said.message else "nowhere to go back to")
    warm = said is not None and said.status == "True"
    return f"rollback: to {ready.version} in {span(ready.eta_seconds)}" + ("" if warm else " (not warm)")


def description(rollout: Rollout) -> list[str]:
    """The tree, and the plan, conditions, history and orders in full."""
    return [
        *tree(rollout),
        "",
        "Steps:",
        *(f"  {line}" for line in _steps(rollout)),
        "",
        "Conditions:",
        *(f"  {line}" for line in _conditions(rollout)),
        "",
        "History:",
        *(f"  {line}" for line in history(rollout)),
    ]


def _steps(rollout: Rollout) -> Iterator[str]:
    status, strategy, after = rollout.status, rollout.spec.strategy, rollout.spec.post_promotion
    rolling = status.candidate is not None
    if strategy.shadow is not None:
        judged = f", judged by {strategy.shadow.analysis.template}" if strategy.shadow.analysis else ""
        mark = "→" if rolling and status.shadowing else " "
        yield f"{mark} copies of {share(strategy.shadow.share)} of the traffic{judged}"
    if strategy.ab is not None:
        judged = f", judged by {strategy.ab.analysis.template}" if strategy.ab.analysis else ""
        mark = "→" if rolling and status.comparing and not status.shadowing else " "
        candidate = status.candidate or rollout.spec.version_ref.name
        compared = whose(strategy.ab, rollout.spec.model, candidate)
        yield f"{mark} the checks of {compared}{judged}"
    stepping = rolling and not status.shadowing and not status.comparing
    for index, one in enumerate(strategy.canary.steps):
        here = stepping and index == status.step
        done = stepping and index < status.step
        yield f"{'→' if here else '✓' if done else ' '} {index + 1}. {step(one)}"
    yield "  then all traffic" + (
        f", watched for {span(after.seconds)} by {after.analysis.template}" if after.analysis else ""
    )


def _conditions(rollout: Rollout) -> Iterator[str]:
    for one in rollout.status.conditions:
        since = span(rollout.now - one.last_transition_time)
        yield f"{one.type:<15} {one.status:<8} {one.reason:<20} for {since:<8} {one.message}".rstrip()
    if not rollout.status.conditions:
        yield "none: the keeper has not looked at it; is it running?"


def history(rollout: Rollout) -> list[str]:
    """What happened, the newest last: versions that got all traffic, orders, judgements."""
    told = [(entry.at, f"{entry.version} got all traffic: {entry.why}") for entry in rollout.status.history]
    for order in rollout.overrides:
        to = f" to {order.spec.to_version}" if order.spec.to_version else ""
        what = f"{order.spec.order}{to} ordered by {order.spec.actor}: {order.spec.reason} ({order.name})"
        told.append((order.created, what))
    for run in rollout.runs:
        told.append(
            (run.created, f"analysis {run.name} of {run.candidate}: {run.phase} {run.message}".rstrip())
        )
    return [f"{moment(at)}  {what}" for at, what in sorted(told)] or ["nothing yet"]
