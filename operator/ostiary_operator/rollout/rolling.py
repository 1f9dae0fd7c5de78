"""A candidate on its way, step by step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from ostiary_operator.resources.model_deployment import (
    AB,
    AnalysisRef,
    GateFailure,
    ModelDeploymentStatus,
    Phase,
    Shadow,
    Step,
)
from ostiary_operator.resources.part import WHOLE
from ostiary_operator.rollout.aims import Aim, made_stable, run_name, without_candidate
from ostiary_operator.rollout.arms import arms, whose
from ostiary_operator.rollout.gating import HeldUp, Standing, held_up
from ostiary_operator.rollout.rollback import lost_by_promoting
from ostiary_operator.rollout.settled import settled
from ostiary_operator.rollout.snapshot import Analysis, Snapshot
from ostiary_operator.rollout.weights import with_share


@dataclass(frozen=True)
class Rolling:
    """`stable`: the version that serves, and that gets everything back should the candidate be no good."""

    snapshot: Snapshot
    status: ModelDeploymentStatus
    candidate: str
    stable: str

    def aim(self) -> Aim:
        """What to head for now."""
        serves = self._share or self.snapshot.route.audience
        if serves and self.snapshot.versions[self.candidate].ready == 0:
            return self._given_up(f"{self.candidate} has no ready pod left")
        if self.snapshot.spec.paused:
            # Not even the deadline passes while it is paused.
            waiting = self._with(since=self.snapshot.now)
            aim = waiting._at(self._share, "Paused", "Paused", "spec.paused is set")
            return replace(aim, audience=self.snapshot.route.audience)
        shadow = self.snapshot.spec.strategy.shadow
        if self.status.shadowing and shadow is not None:
            return self._shadowing(shadow)
        ab = self.snapshot.spec.strategy.ab
        if self.status.comparing and ab is not None:
            return self._comparing(ab)
        steps = self.snapshot.spec.strategy.canary.steps
        return self._taking(steps[self.status.step]) if self.status.step < len(steps) else self._promoting()

    @property
    def _share(self) -> int:
        """Of the traffic, as the route says."""
        return self.snapshot.route.weights.get(self.candidate, 0)

    def _run(self, of: str) -> str:
        return run_name(self.snapshot, self.status, self.candidate, of)

    def _taking(self, step: Step) -> Aim:
        if step.set_weight is not None:
            return self._weighing(step.set_weight)
        if step.analysis is not None:
            aim = self._at(self._share, "Progressing", "Judging", f"{self.candidate} is judged")
            return self._judged(aim, self._run(str(self.status.step)), step.analysis)
        if step.pause_seconds is None:
            return self._at(self._share, "Paused", "PauseStep", "until somebody promotes")
        if self.snapshot.now - self.status.since >= step.pause_seconds:
            return self._next()
        return self._at(self._share, "Paused", "PauseStep", f"for {step.pause_seconds:g} s")

    def _weighing(self, share: int) -> Aim:
        if self._share == share and self.snapshot.converged:
            return self._next()
        message = f"{self.candidate} gets {share / 100:g}% of the traffic"
        return self._gated(
            share, lambda here: here._in_time(here._at(share, "Progressing", "Weighing", message))
        )

    def _shadowing(self, shadow: Shadow) -> Aim:
        message = f"{self.candidate} gets copies"
        aim = self._at(self._share, "Progressing", "Shadowing", message, copies=shadow.share)
        if self.snapshot.versions[self.candidate].ready == 0:
            return self._in_time(replace(aim, reason="Loading"))
        aim = replace(aim, mirrors={self.candidate: shadow.share})
        if shadow.analysis is not None:
            return self._judged(aim, self._run("shadow"), shadow.analysis)
        mirrored = self.candidate in self.snapshot.route.mirrors
        if mirrored and self.snapshot.now - self.status.since >= shadow.seconds:
            return self._next()
        return aim

    def _comparing(self, ab: AB) -> Aim:
        # Whoever has callers already is past the gates.
        if self.snapshot.route.audience:
            return self._with_audience(ab)
        return self._gated(ab.share, lambda here: here._with_audience(ab))

    def _with_audience(self, ab: AB) -> Aim:
        candidate, control = arms(ab, self.snapshot.spec.model, self.candidate)
        beside = whose(ab, self.snapshot.spec.model, self.candidate)
        message = f"{self.candidate} gets the checks of {beside}"
        aim = self._at(self._share, "Progressing", "Comparing", message, copies=ab.share)
        audience = candidate.pins(self.candidate, "candidate" if control is not None else "")
        if control is not None:
            audience |= control.pins(self.stable, "control")
        fixed = self.snapshot.route.audience == audience
        if not fixed and self.snapshot.carries(self.candidate) < ab.share:
            return self._in_time(replace(aim, reason="Loading"))
        aim = replace(aim, audience=audience)
        if not fixed or not self.snapshot.converged:
            return aim
        if ab.analysis is not None:
            return self._judged(aim, self._run("ab"), ab.analysis)
        return self._next() if self.snapshot.now - self.status.since >= ab.seconds else aim

    def _judged(self, aim: Aim, name: str, analysis: AnalysisRef) -> Aim:
        """On where the run was successful, back where it failed. What proves nothing is for people."""
        found = self.snapshot.analyses.get(name, Analysis("Running"))
        if found.phase == "Successful":
            return self._next()
        if found.phase == "Failed":
            return self._given_up(f"analysis {name}: {found.message}")
        aim = replace(aim, runs={name: analysis})
        if found.phase == "Running":
            return aim
        return replace(aim, phase="Paused", reason=found.phase, message=f"analysis {name}: {found.message}")

    def _promoting(self) -> Aim:
        if self._share == WHOLE and self.snapshot.converged:
            status = made_stable(self.status, self.candidate, self.snapshot.now, "promoted")
            status = status.model_copy(update={"promoted_at": self.snapshot.now})
            return settled(self.snapshot, status, self.candidate)
        if not self.status.held and (why := lost_by_promoting(self.snapshot)):
            message = f"{why}; promote with force if no rollback is wanted"
            return self._at(self._share, "Paused", "RollbackWouldBeLost", message)
        message = f"{self.candidate} gets all traffic"
        return self._gated(
            WHOLE, lambda here: here._in_time(here._at(WHOLE, "Progressing", "Promoting", message))
        )

    def _gated(self, share: int, beyond: Callable[[Rolling], Aim]) -> Aim:
        """What is beyond the gates that stand before this share, or waiting at the first of them."""
        held = held_up(self.snapshot, self.status, self.candidate, self._share, share)
        if held is not None:
            return self._waiting(held)
        if self.status.gate is None:
            return beyond(self)
        return beyond(self._with(gate=None, since=self.snapshot.now))

    def _waiting(self, held: HeldUp) -> Aim:
        """Before a gate: with the share that it has, and no pods for one that it has not. The time until its
        deadline begins when it is let through.
        """
        gate = held.first
        if gate.phase == "Failed":
            return self._refused(gate)
        here = self._with(gate=gate.gate)
        aim = here._at(here._share, "Progressing", f"Gate{gate.phase}", f"gate {gate.gate}: {gate.message}")
        if gate.phase != "Running":
            aim = replace(aim, phase="Paused")
        if not here._share and not here.snapshot.versions[here.candidate].replicas:
            aim = replace(aim, wanted={name: n for name, n in aim.wanted.items() if name != here.candidate})
        return replace(aim, gates=held.jobs)

    def _refused(self, gate: Standing) -> Aim:
        failure = GateFailure(version=self.candidate, gate=gate.gate, figures=gate.message)
        return self._with(gate_failure=failure)._given_up(f"gate {gate.gate}: {gate.message}")

    def _at(self, share: int, phase: Phase, reason: str, message: str, copies: int = 0) -> Aim:
        """The candidate has this share, and pods for it; the stable version keeps pods for everything."""
        wanted = {self.candidate: self.snapshot.needed(self.candidate, max(share, copies))}
        if self.stable in self.snapshot.versions:
            wanted[self.stable] = self.snapshot.needed(self.stable, WHOLE)
        ideal = with_share(self.candidate, share, self.stable)
        return Aim(self.status, phase, reason, message, ideal, wanted=wanted)

    def _in_time(self, aim: Aim) -> Aim:
        """Back where the candidate has not got there by the deadline."""
        taken = self.snapshot.now - self.status.since
        if taken <= self.snapshot.spec.progress_deadline_seconds:
            return aim
        return self._given_up(f"{aim.message}, but not within {taken:.0f} s")

    def _given_up(self, why: str) -> Aim:
        status = without_candidate(self.status).model_copy(update={"rejected": self.candidate})
        return replace(settled(self.snapshot, status, self.stable), message=why)

    def _next(self) -> Aim:
        """The step after this one, at once."""
        if self.status.shadowing:
            return self._with(shadowing=False, since=self.snapshot.now).aim()
        if self.status.comparing:
            return self._with(comparing=False, since=self.snapshot.now).aim()
        return self._with(step=self.status.step + 1, since=self.snapshot.now).aim()

    def _with(self, **changes: object) -> Rolling:
        return replace(self, status=self.status.model_copy(update=changes))
