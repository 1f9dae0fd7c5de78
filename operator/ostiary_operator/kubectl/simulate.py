"""What a rollout would take before it is begun: the keeper's own decisions on a simulated cluster. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from ostiary_operator.kubectl.rollout import Rollout
from ostiary_operator.kubectl.words import share, span, step
from ostiary_operator.resources.analysis import AnalysisTemplateSpec
from ostiary_operator.resources.model_deployment import ModelDeploymentStatus
from ostiary_operator.rollout.actions import Announce, StartAnalysis
from ostiary_operator.rollout.arms import whose
from ostiary_operator.rollout.simulation import Pods, World
from ostiary_operator.rollout.snapshot import Analysis, GateJob, Request, Route

LONGEST = 2 * 86_400.0
_QUIET, _BUSY = 5.0, 1.0
_SETTLED_TICKS = 5


@dataclass(frozen=True)
class Moment:
    """Something begins, `at` seconds after the start. `pods`: asked for, by version."""

    at: float
    what: str
    weights: Mapping[str, int]
    pods: Mapping[str, int]
    gpus: int


@dataclass(frozen=True)
class Forecast:
    """`gpus`: now, at most and afterwards, of this rollout alone. `arrived`: whether it ended as hoped."""

    moments: tuple[Moment, ...]
    seconds: float
    gpus: tuple[int, int, int]
    arrived: bool
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Assumed:
    """`demand`: checks a second; None: pods by spec.replicas. `load_seconds`: where it was never measured."""

    demand: float | None = None
    load_seconds: float = 120.0


@dataclass
class _Run:
    """A simulation on its way. `due`: when each analysis has its answer."""

    rollout: Rollout
    world: World
    assumed: Assumed
    due: dict[str, float] = field(default_factory=dict)
    moments: list[Moment] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    asked: int = 0

    def gpus(self) -> int:
        """Of all pods that there are."""
        return sum(_gpus(self.rollout, name) * len(pods.born) for name, pods in self.world.versions.items())

    def note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)


def forecast(rollout: Rollout, assumed: Assumed) -> Forecast:
    """The whole way from here to the version that the spec names.

    Pauses for people are promoted at once and analyses succeed as soon as they may; both are noted.

    Raises:
        ValueError: the spec names a version that there is not.
    """
    target = rollout.spec.version_ref.name
    if target not in rollout.versions or rollout.versions[target].spec is None:
        raise ValueError(f"versionRef: there is no ModelVersion {target} of model {rollout.spec.model}")
    run = _Run(rollout, _world(rollout, assumed), assumed)
    _assumptions(run)
    began, before = run.world.now, run.gpus()
    most, still, pace = before, 0, _BUSY
    while still < _SETTLED_TICKS and run.world.now - began < LONGEST:
        plan = run.world.tick(pace)
        acts = [one for one in plan.actions if not isinstance(one, Announce)]
        _answer(run, plan.status)
        for one in acts:
            if isinstance(one, StartAnalysis):
                run.due[one.name] = run.world.now + _analysis_seconds(run, one)
        most = max(most, run.gpus())
        _remember(run, plan.status, began)
        pace = _BUSY if acts else min(_QUIET, pace * 1.2)
        still = still + 1 if _over(rollout, plan.status) and not acts else 0
    status = run.world.status
    arrived = status.phase == "Healthy" and status.stable == target
    if not arrived:
        why = next((one.message for one in status.conditions if one.type == "Progressing"), "")
        run.note(f"it ends {status.phase}: {why}")
    return Forecast(
        tuple(run.moments), run.world.now - began, (before, most, run.gpus()), arrived, tuple(run.notes)
    )


def _over(rollout: Rollout, status: ModelDeploymentStatus) -> bool:
    """Nothing more is to come: not even a look at the version after its promotion."""
    watched = status.promoted_at is not None and rollout.spec.post_promotion.analysis is not None
    return status.phase in ("Healthy", "Degraded") and not watched


def _world(rollout: Rollout, assumed: Assumed) -> World:
    """The cluster as it is, without what somebody ordered past the rollout."""
    now = rollout.now
    versions = {}
    for name, seen in rollout.versions.items():
        if seen.spec is not None:
            load = _load_seconds(rollout, name, assumed)
            born = [now - load - 1.0] * seen.ready + [now] * max(0, seen.replicas - seen.ready)
            versions[name] = Pods(seen.spec.checks_per_second, load, born)
    status = rollout.status.model_copy(update={"rejected": None, "phase": "Pending"})
    return World(
        spec=rollout.spec.model_copy(update={"paused": False}),
        versions=versions,
        demand=assumed.demand,
        now=now,
        status=status,
        routes=[(0.0, Route(0, dict(rollout.weights), dict(rollout.mirrors)))],
    )


def _assumptions(run: _Run) -> None:
    rollout = run.rollout
    if rollout.spec.paused:
        run.note("spec.paused is set: this is what would happen without it")
    if rollout.override is not None:
        run.note(f"override {rollout.override.name} is in force: this is what would happen without it")
    if rollout.status.rejected == rollout.spec.version_ref.name:
        run.note(f"{rollout.status.rejected} was taken back: this is what a retry would do")
    for name, seen in rollout.versions.items():
        if seen.spec is not None and seen.status.load_seconds_p95 is None and _takes_part(rollout, name):
            run.note(
                f"{name}: how long it loads was never measured; {span(run.assumed.load_seconds)} is assumed"
            )


def _takes_part(rollout: Rollout, name: str) -> bool:
    return name in (rollout.spec.version_ref.name, rollout.status.stable, rollout.status.candidate)


def _load_seconds(rollout: Rollout, name: str, assumed: Assumed) -> float:
    measured = rollout.versions[name].status.load_seconds_p95
    return assumed.load_seconds if measured is None else measured


def _gpus(rollout: Rollout, name: str) -> int:
    spec = rollout.versions[name].spec
    return spec.gpu.count if spec is not None else 0


def _answer(run: _Run, status: ModelDeploymentStatus) -> None:
    """What people and analyses would say."""
    world = run.world
    for name, job in world.gate_jobs.items():
        if job.phase == "Running":
            run.note(f"gate {job.gate} is taken as passed, at once: how long its Job takes is not known")
            world.gate_jobs[name] = GateJob(job.gate, job.version, job.attempt, "Passed", over=True)
    for name, at in run.due.items():
        if world.now >= at and name in world.analyses and world.analyses[name].phase == "Running":
            world.analyses[name] = Analysis("Successful")
    why = next((one for one in status.conditions if one.type == "Progressing"), None)
    if why is None or status.phase != "Paused":
        return
    steps = world.spec.strategy.canary.steps
    waits = status.step < len(steps) and steps[status.step].pause and steps[status.step].pause_seconds is None
    if why.reason == "RollbackWouldBeLost" or (why.reason == "PauseStep" and waits):
        if why.reason == "RollbackWouldBeLost":
            run.note(
                "it stops before the promotion, which would leave nothing to go back to: promote --force"
            )
        else:
            run.note(f"step {status.step + 1} waits for somebody to promote; here nobody is waited for")
        if world.request is None or world.request.id == status.answered:
            run.asked += 1
            world.request = Request("promote", f"simulated-{run.asked}", force=True)


def _analysis_seconds(run: _Run, start: StartAnalysis) -> float:
    """Until it may say that the candidate is good: enough samples of it, or its own end."""
    template = run.rollout.templates.get(start.template)
    if template is None:
        run.note(f"there is no AnalysisTemplate {start.template}: the rollout would wait for people there")
        return 0.0
    demand, route = run.assumed.demand, run.world.route
    part = max(route.weights.get(start.candidate, 0), route.mirrors.get(start.candidate, 0))
    if demand is None or demand <= 0 or part == 0:
        return template.seconds
    return _until_enough(run, start, template, demand * part / 10_000)


def _until_enough(
    run: _Run, start: StartAnalysis, template: AnalysisTemplateSpec, per_second: float
) -> float:
    needed = template.min_samples / per_second
    if needed > template.seconds:
        run.note(
            f"analysis {start.template}: {template.min_samples} samples take {span(needed)} at "
            f"{per_second:g} checks/s, and it ends after {span(template.seconds)}: it would be inconclusive"
        )
    return min(needed, template.seconds)


def _remember(run: _Run, status: ModelDeploymentStatus, began: float) -> None:
    """Adds a moment where something else goes on than before."""
    what, world = _doing(run, status), run.world
    weights = dict(world.route.weights)
    if run.moments and (run.moments[-1].what, run.moments[-1].weights) == (what, weights):
        return
    pods = {name: len(one.born) for name, one in world.versions.items() if one.born}
    run.moments.append(Moment(world.now - began, what, weights, pods, run.gpus()))


def _doing(run: _Run, status: ModelDeploymentStatus) -> str:
    steps = run.world.spec.strategy.canary.steps
    if status.candidate is None:
        watched = status.promoted_at is not None and run.rollout.spec.post_promotion.analysis is not None
        if watched:
            return f"{status.stable} is watched after its promotion"
        return f"{status.stable} serves" if status.phase == "Healthy" else status.phase
    if status.shadowing:
        return f"{status.candidate} gets copies"
    if status.comparing and (ab := run.world.spec.strategy.ab) is not None:
        compared = whose(ab, run.world.spec.model, status.candidate or "")
        return f"{status.candidate} gets the checks of {compared}"
    if status.gate is not None:
        return f"{status.candidate} stands before gate {status.gate}"
    if status.step < len(steps):
        return f"step {status.step + 1}: {step(steps[status.step])}"
    return f"{status.candidate} gets all traffic"


def told(forecast: Forecast) -> Iterator[str]:
    """A forecast as lines."""
    for one in forecast.moments:
        weights = ", ".join(f"{name} {share(points)}" for name, points in sorted(one.weights.items()))
        pods = ", ".join(f"{name} {count}" for name, count in sorted(one.pods.items()))
        there = f"[{weights or 'no route'}]  pods: {pods or 'none'}  GPUs: {one.gpus}"
        yield f"{'+' + span(one.at):>8}  {one.what}  {there}"
    now, most, after = forecast.gpus
    yield f"It takes {span(forecast.seconds)}. GPUs: {now} now, at most {most}, {after} afterwards."
    for note in forecast.notes:
        yield f"Note: {note}."
