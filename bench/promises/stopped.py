"""Promise 18: a bad version never reaches everyone.

Seeded rollouts on a simulated cluster (pods, gateways, traffic and a clock; the keeper's decisions and
the analysis are the operator's own): good versions, and versions that are slow, erring, flag nothing, flag
everything, or drift in one category.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from bench.promises.contract import Outcome, Promise
from ostiary_operator.analysis.judging import Measured, Pair, judge
from ostiary_operator.analysis.sequential import Moments
from ostiary_operator.resources.analysis import AnalysisTemplateSpec
from ostiary_operator.resources.model_deployment import ModelDeploymentSpec
from ostiary_operator.rollout.simulation import Pods, World

GOOD_ROLLOUTS = 1_000
MOST_SHARE = 5_000  # basis points
DEMAND = 200.0  # checks a second
TICK_SECONDS = 5.0
CATEGORIES = ("clothes", "shoes", "home")
_LONGEST = 6 * 3_600.0
_STEPS = [
    step
    for share in (500, 1_000, 2_500, 5_000)
    for step in ({"setWeight": share}, {"analysis": {"template": "canary"}})
]
TEMPLATE = AnalysisTemplateSpec.model_validate(
    {
        "minSamples": 500,
        "seconds": 3_600,
        "alpha": 0.01,
        "metrics": [
            {"name": "errors", "compare": {"figure": "errors", "margin": 0.01}},
            {"name": "latency", "compare": {"figure": "latency", "margin": 0.1}},
            *(
                {
                    "name": f"flags-{category}",
                    "compare": {
                        "figure": f"flags/prohibited_ads/{category}", "harm": "Either", "margin": 0.03,
                    },
                }
                for category in CATEGORIES
            ),
        ],
    }
)  # fmt: skip


@dataclass(frozen=True)
class Behaviour:
    """How a version answers. `latency`: median in seconds; `flags`: share flagged, by category."""

    errors: float = 0.002
    latency: float = 0.35
    flags: dict[str, float] = field(default_factory=lambda: dict.fromkeys(CATEGORIES, 0.05))

    def answers(self, rng: np.random.Generator, checks: float) -> dict[str, Moments]:
        """What is counted of about so many checks, by metric."""
        by_category = {category: int(rng.poisson(checks / len(CATEGORIES))) for category in CATEGORIES}
        count = sum(by_category.values())
        found = {"errors": _share(rng, count, self.errors)}
        times = rng.lognormal(np.log(self.latency), 0.5, count)
        found["latency"] = Moments(count, float(times.sum()), float((times * times).sum()))
        for category, number in by_category.items():
            found[f"flags-{category}"] = _share(rng, number, self.flags[category])
        return found


def _share(rng: np.random.Generator, count: int, share: float) -> Moments:
    yes = float(rng.binomial(count, share))
    return Moments(count, yes, yes)


GOOD = Behaviour()
BAD: dict[str, Behaviour] = {
    "slow": replace(GOOD, latency=0.6),
    "erring": replace(GOOD, errors=0.03),
    "flags nothing": replace(GOOD, flags=dict.fromkeys(CATEGORIES, 0.0)),
    "flags everything": replace(GOOD, flags=dict.fromkeys(CATEGORIES, 1.0)),
    "drifts in one category": replace(GOOD, flags={**GOOD.flags, "shoes": 0.12}),
}


@dataclass(frozen=True)
class Rollout:
    """`most`: largest share that the candidate had on any gateway; `rejected`: whether it was taken back."""

    most: int
    rejected: bool


def roll(candidate: Behaviour, seed: int) -> Rollout:
    """A whole rollout, until the candidate is stable or rejected."""
    rng = np.random.default_rng(seed)
    world = World(_spec("old"), {"old": Pods(50.0), "new": Pods(50.0)}, demand=DEMAND)
    while world.status.phase != "Healthy":
        world.tick(TICK_SECONDS)
    world.spec = _spec("new")
    behaviours = {"old": GOOD, "new": candidate}
    counted: dict[str, dict[str, dict[str, Moments]]] = {}
    began: dict[str, float] = {}
    most, ends = 0, world.now + _LONGEST
    while world.status.stable != "new" and world.status.rejected is None and world.now < ends:
        world.tick(TICK_SECONDS)
        most = max(most, *(world.applied(gateway).weights.get("new", 0) for gateway in world.lag))
        for name, found in list(world.analyses.items()):
            if found.phase != "Running":
                continue
            began.setdefault(name, world.now)
            of_run = counted.setdefault(name, {version: {} for version in behaviours})
            for version, share in world.route.weights.items():
                checks = DEMAND * TICK_SECONDS * share / 10_000
                for metric, moments in behaviours[version].answers(rng, checks).items():
                    of_run[version][metric] = of_run[version].get(metric, Moments()) + moments
            world.analyses[name] = judge(TEMPLATE, _measured(of_run, world.now - began[name]))
    return Rollout(most, world.status.rejected == "new")


def _measured(of_run: dict[str, dict[str, Moments]], seconds: float) -> Measured:
    pairs = {
        metric: Pair(moments, of_run["old"][metric])
        for metric, moments in of_run["new"].items()
        if metric in of_run["old"]
    }
    return Measured(seconds, pairs, {})


def _spec(version: str) -> ModelDeploymentSpec:
    return ModelDeploymentSpec.model_validate(
        {
            "model": "qwen", "versionRef": {"name": version}, "replicas": 4,
            "strategy": {"canary": {"steps": _STEPS}}, "postPromotion": {"seconds": 0},
        }
    )  # fmt: skip


def _cases() -> Iterator[tuple[str, Behaviour, int]]:
    """Good ones and bad ones in turn, one of each bad kind after every ten good ones."""
    seeds = itertools.count()
    while True:
        for _ in range(10):
            yield "good", GOOD, next(seeds)
        for kind, behaviour in BAD.items():
            yield kind, behaviour, next(seeds)


def tried(
    good_rollouts: int, seconds: float, clock: Callable[[], float] = time.monotonic
) -> dict[str, list[Rollout]]:
    """Rollouts by kind, until so many good ones are through or the time is up."""
    found: dict[str, list[Rollout]] = {}
    ends = clock() + seconds
    for kind, behaviour, seed in _cases():
        enough = len(found.get("good", ())) >= good_rollouts and set(found) >= set(BAD)
        if enough or clock() > ends:
            return found
        found.setdefault(kind, []).append(roll(behaviour, seed))
    raise AssertionError("the cases do not end")


def run(seconds: float) -> Outcome:
    """Roll good and bad versions."""
    found = tried(GOOD_ROLLOUTS, seconds * 0.9)
    good = found.get("good", [])
    bad = [rollout for kind, rollouts in found.items() if kind != "good" for rollout in rollouts]
    passed = sum(not rollout.rejected or rollout.most > MOST_SHARE for rollout in bad)
    failed = sum(rollout.rejected for rollout in good)
    what = (
        f"bad versions of {len(bad)} that passed {MOST_SHARE / 100:g}% or were not rolled back; "
        f"{failed} of {len(good)} good ones were (alpha {TEMPLATE.alpha})"
    )
    met = passed == 0 and failed <= TEMPLATE.alpha * max(len(good), 1 / TEMPLATE.alpha)
    return Outcome(len(good) + len(bad), GOOD_ROLLOUTS + GOOD_ROLLOUTS // 10 * len(BAD), passed, 0, what, met)


PROMISE = Promise(18, "A bad version never reaches everyone", run)
