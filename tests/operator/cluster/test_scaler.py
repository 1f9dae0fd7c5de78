"""GPUAutoscalers in a cluster: what is measured, decided, done and told, and who has the number of pods."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from ostiary_operator.autoscaling.explain import lines
from ostiary_operator.autoscaling.log import read
from ostiary_operator.autoscaling.replay import Tally, replay
from ostiary_operator.cluster import kinds
from ostiary_operator.cluster.prometheus import Newest
from ostiary_operator.kubectl.main import app
from scaled_site import GPU, site


async def test_up_and_down_with_the_load(tmp_path: Path) -> None:
    """Demand for five pods gets them, and they go when it has gone; each change is an Event, and the status
    tells it from what was read to what came of it.
    """
    async with site(tmp_path) as made:
        await made.autoscaler()
        made.rate = 70.0
        await made.pass_time(times=6)
        high = made.replicas()
        assert high is not None
        assert high >= 5
        made.rate = 10.0
        await made.pass_time(times=40)
        assert made.replicas() == 1
        assert "SuccessfulRescale" in made.stage.events()
        status = made.status()
        assert status["desiredReplicas"] == 1
        assert len(status["decisions"]) <= 20
        assert {one["type"] for one in status["conditions"]} == {
            "AbleToScale", "ScalingActive", "ScalingLimited", "MetricsHealthy",
        }  # fmt: skip
        assert made.condition("MetricsHealthy")["status"] == "True"
        assert any("demand" in text for text in lines(status["decisions"][-1]))


async def test_refused_checks_are_demand(tmp_path: Path) -> None:
    """What gateways had no room for came all the same: pods are asked for, not only for what was judged."""
    async with site(tmp_path) as made:
        await made.autoscaler()
        made.rate = 20.0
        await made.pass_time(times=3)
        before = made.replicas()
        for _ in range(6):
            made.refused += 80.0 * 15.0
            await made.pass_time()
        after = made.replicas()
        assert before is not None
        assert after is not None
        assert after >= before + 3


async def test_to_zero_and_from_zero(tmp_path: Path) -> None:
    """A bulk-only version goes when it is known to be idle, is not brought back by the rollout, and comes
    with the first checks.
    """
    async with site(tmp_path) as made:
        await made.autoscaler(minReplicas=0, bulkOnly=True, idleSeconds=60)
        await made.pass_time(times=12)
        assert made.replicas() == 0
        await made.roll()
        assert made.replicas() == 0
        assert made.stage.weights() == {"v1": 10_000}
        made.rate = 5.0
        await made.pass_time(times=2)
        assert made.replicas() == 1


async def test_fewer_than_the_model_deployment_says(tmp_path: Path) -> None:
    """The autoscaler has the number of pods: the rollout does not take it back to spec.replicas, in however
    many looks.
    """
    async with site(tmp_path, replicas=4) as made:
        assert made.replicas() == 4
        await made.autoscaler()
        made.rate = 10.0
        await made.pass_time(times=15)
        assert made.replicas() == 1
        for _ in range(5):
            await made.roll()
            await made.pass_time()
            assert made.replicas() == 1


async def test_without_it_the_model_deployment_has_the_number_again(tmp_path: Path) -> None:
    """The autoscaler removed, or DryRun: pods are there as spec.replicas says."""
    async with site(tmp_path, replicas=3) as made:
        await made.autoscaler()
        made.rate = 10.0
        await made.pass_time(times=15)
        assert made.replicas() == 1
        await made.autoscaler(mode="DryRun")
        await made.roll()
        assert made.replicas() == 3
        await made.pass_time(times=8)
        assert made.replicas() == 3
        assert made.condition("AbleToScale")["reason"] == "DryRun"
        assert made.status()["decisions"][-1]["wanted"] == 1


async def test_during_a_rollout(tmp_path: Path) -> None:
    """Both versions have their own autoscalers; a step's pods are not taken away before it has its traffic,
    and what has lost its traffic is the rollout's.
    """
    steps = [{"setWeight": 5000}, {"pause": True}]
    async with site(tmp_path, strategy={"canary": {"steps": steps}}) as made:
        await made.autoscaler()
        made.rate = 70.0
        await made.pass_time(times=6)
        before = made.replicas()
        assert before is not None
        assert before >= 4
        await made.stage.deployment("v2", strategy={"canary": {"steps": steps}})
        await made.roll()
        assert made.stage.weights() == {"v1": 5000, "v2": 5000}
        seen = []
        for _ in range(12):
            await made.pass_time()
            seen.append(made.replicas())
            await made.roll()
            seen.append(made.replicas())
        # The stable version keeps pods for all traffic: 70 checks/s, at 20 a pod; and the two do not fight.
        assert min(now or 0 for now in seen) >= 4
        assert len(set(seen[-12:])) == 1
        assert made.status()["decisions"][-1]["desired"] == made.replicas()
        await made.stage.request("promote-full", "1")
        for _ in range(6):
            made.now += 1.0
            await made.roll()
        assert made.stage.weights() == {"v2": 10_000}
        kept = made.replicas("v1")
        await made.pass_time(times=10)
        assert made.replicas("v1") == kept
        assert made.condition("AbleToScale")["reason"] == "KeptByRollout"


def gone(one: Newest) -> Newest | None:
    """No sample at all."""
    return None


WRONG: dict[str, tuple[Callable[[Newest], Newest | None], str]] = {
    "not a number": (lambda one: replace(one, value=math.nan), "not a number"),
    "negative": (lambda one: replace(one, value=-5.0), "negative"),
    "absurd": (lambda one: replace(one, value=1e18), "absurd"),
    "stale": (lambda one: replace(one, at=one.at - 90.0), "stale"),
    "from the future": (lambda one: replace(one, at=one.at + 3600.0), "future"),
    "missing": (gone, "no gateway has reported"),
}


@pytest.mark.parametrize(("wrong", "says"), WRONG.values(), ids=WRONG)
async def test_no_pod_goes_for_metrics_that_cannot_be_trusted(
    tmp_path: Path, wrong: Callable[[Newest], Newest | None], says: str
) -> None:
    """Nothing is taken away, no more than the rates is added, and the condition says what is wrong; once they
    are back the pods go.
    """
    async with site(tmp_path) as made:
        await made.autoscaler(metrics=[{"type": "Demand"}, {"type": "GPU", "metric": GPU}])
        made.rate = 70.0
        await made.pass_time(times=6)
        before = made.replicas()
        assert before is not None
        assert before >= 4
        made.rate, made.busy, made.wrong = 5.0, 5.0, wrong
        await made.pass_time(times=12)
        assert made.replicas() == before
        healthy = made.condition("MetricsHealthy")
        assert healthy["status"] == "False"
        assert says in healthy["message"]
        assert made.condition("ScalingActive")["reason"] == "NoMetricTrusted"
        made.wrong = lambda one: one
        await made.pass_time(times=40)
        after = made.replicas()
        assert after is not None
        assert after < before


async def test_no_answer_from_prometheus(tmp_path: Path) -> None:
    """Nothing is taken away, and the condition says who does not answer."""
    async with site(tmp_path) as made:
        await made.autoscaler()
        made.series.broken = True
        await made.pass_time(times=8)
        assert made.replicas() == 2
        assert made.condition("MetricsHealthy")["reason"] == "SourceUnreachable"
        assert "no answer" in made.condition("MetricsHealthy")["message"]
        assert made.stage.events().count("SourceUnreachable") == 1


async def test_fallback_is_bounded(tmp_path: Path) -> None:
    """Without metrics for long enough, at least what the fallback says, by the rates and no further."""
    async with site(tmp_path) as made:
        await made.autoscaler(fallback={"replicas": 6, "afterSeconds": 60})
        made.series.broken = True
        await made.pass_time(times=10)
        assert made.replicas() == 6


async def test_a_counter_that_starts_anew_and_a_clock_that_jumps(tmp_path: Path) -> None:
    """A gateway that was started again and a clock that is an hour on take nothing away at once."""
    async with site(tmp_path) as made:
        await made.autoscaler()
        made.rate = 70.0
        await made.pass_time(times=6)
        before = made.replicas()
        made._judged.clear()
        made.rate = 0.0
        await made.pass_time()
        assert made.replicas() == before
        assert "started anew" in made.condition("MetricsHealthy")["message"]
        for jump in (3600.0, -3600.0):
            made.now += jump
            await made.pass_time()
            assert made.replicas() == before
            assert made.condition("MetricsHealthy")["reason"] == "ClockJumped"


async def test_a_gateway_that_is_not_scraped(tmp_path: Path) -> None:
    """Gateways that live and are not measured have callers that nobody counts: nothing goes."""
    async with site(tmp_path) as made:
        await made.autoscaler()
        made.rate = 70.0
        await made.pass_time(times=6)
        before = made.replicas()
        made.rate = 5.0
        lease = made.stage.find(kinds.LEASES, "ostiary-gateway-gw-1")
        assert lease is not None
        metadata = {name: lease["metadata"][name] for name in ("labels", "annotations")}
        metadata["name"] = "ostiary-gateway-gw-2"
        for index in range(12):
            spec = {**lease["spec"], "renewTime": f"2026-02-01T00:00:{index:02}.000000Z"}
            await made.stage.put(kinds.LEASES, {"metadata": metadata, "spec": spec})
            await made.pass_time()
        assert made.replicas() == before
        assert "gateway 2 of 2, alive by its Lease" in made.condition("MetricsHealthy")["message"]


@pytest.mark.parametrize("mode", ["DryRun", "Freeze"])
async def test_modes_that_change_nothing(tmp_path: Path, mode: str) -> None:
    """Decided and told, and not done."""
    async with site(tmp_path) as made:
        await made.autoscaler(mode=mode)
        made.rate = 70.0
        await made.pass_time(times=6)
        assert made.replicas() == 2
        assert made.status()["decisions"][-1]["wanted"] > 2
        assert made.condition("AbleToScale")["reason"] == {"DryRun": "DryRun", "Freeze": "Frozen"}[mode]


async def test_under_an_order_to_freeze(tmp_path: Path) -> None:
    """While a ModelOverride keeps everything as it is, pods are added and none is taken away."""
    async with site(tmp_path) as made:
        await made.autoscaler()
        await made.stage.order("still", "Freeze", seconds=7200.0)
        await made.pass_time(times=12)
        assert made.replicas() == 2
        assert made.status()["decisions"][-1]["steps"][-1]["name"] == "rollout"
        made.rate = 70.0
        await made.pass_time(times=6)
        assert (made.replicas() or 0) >= 4


async def test_a_version_that_nobody_describes(tmp_path: Path) -> None:
    """Its ModelVersion gone, and the mark of what a pod carries: that is said, and nothing changes."""
    async with site(tmp_path) as made:
        await made.autoscaler()
        await made.stage.remove(kinds.MODEL_VERSIONS, "v1")
        found = made.stage.find(kinds.DEPLOYMENTS, "v1")
        assert found is not None
        bare = {"name": "v1", "annotations": {}}
        await made.stage.put(kinds.DEPLOYMENTS, {**found, "metadata": {**found["metadata"], **bare}})
        await made.pass_time(times=2)
        assert made.condition("AbleToScale")["reason"] == "RolloutUnknown"
        assert made.replicas() == 2


async def test_a_new_keeper_knows_what_was_done(tmp_path: Path) -> None:
    """Killed and started again: nothing goes at once, rates count what was added before, and the history in
    the status goes on.
    """
    async with site(tmp_path) as made:
        slow = {"policies": [{"type": "Pods", "value": 1, "periodSeconds": 600}]}
        await made.autoscaler(behavior={"scaleUp": slow})
        made.rate = 100.0
        await made.pass_time(times=4)
        assert made.replicas() == 3
        told = made.status()["decisions"]
        made.restart()
        await made.pass_time(times=4)
        assert made.replicas() == 3
        assert made.status()["decisions"][: len(told) - 1] == told[:-1]
        made.rate = 0.0
        made.restart()
        await made.pass_time()
        assert made.replicas() == 3


@pytest.mark.parametrize("which", [0, -1], ids=["the first", "the last"])
async def test_pods_with_the_least_work_go(tmp_path: Path, which: int) -> None:
    """The busiest pod stays, whichever it is."""
    async with site(tmp_path, replicas=4) as made:
        await made.autoscaler()
        made.rate = 5.0
        busiest = sorted(pod["metadata"]["name"] for pod in made.stage.all(kinds.PODS))[which]

        def idle_but_one(one: Newest) -> Newest:
            if one.labels["__name__"] != "moderation_pod_in_flight":
                return one
            return replace(one, value=9.0 if one.labels["pod"] == busiest else 1.0)

        made.wrong = idle_but_one
        await made.pass_time(times=15)
        assert [pod["metadata"]["name"] for pod in made.stage.all(kinds.PODS)] == [busiest]


async def test_a_spec_that_makes_no_sense(tmp_path: Path) -> None:
    """What the schema lets pass and the rules do not: the field is named, and pods are as the ModelDeployment
    says.
    """
    async with site(tmp_path, replicas=3) as made:
        points = [{"concurrency": 8, "checksPerSecond": 5.0}, {"concurrency": 1, "checksPerSecond": 9.0}]
        await made.autoscaler(capacity={"points": points})
        await made.pass_time(times=3)
        await made.roll()
        assert made.condition("AbleToScale")["reason"] == "InvalidSpec"
        assert "sort them by concurrency" in made.condition("AbleToScale")["message"]
        assert made.replicas() == 3


async def test_replay_reads_what_the_controller_logged(tmp_path: Path) -> None:
    """The log gives the same decisions again: the cluster and the command decide by one function."""
    async with site(tmp_path) as made:
        await made.autoscaler()
        made.rate = 70.0
        await made.pass_time(times=5)
        made.rate = 10.0
        await made.pass_time(times=20)
        tally = Tally()
        with made.log.open(encoding="utf-8") as file:
            replayed = list(replay(read(file, "log"), None, tally))
    assert tally.decisions == 25
    assert tally.changed == 0
    assert replayed[0].entry.name == "default/scaled"


async def test_explain_tells_what_the_controller_wrote(tmp_path: Path) -> None:
    """`kubectl ostiary explain gas/NAME`: what was read, what held it back, and what cannot be trusted."""
    kubeconfig = ["--kubeconfig", str(tmp_path / "kubeconfig")]

    async def explained(name: str) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, app, ["explain", name, *kubeconfig])

    async with site(tmp_path) as made:
        await made.autoscaler()
        assert "has not looked" in (await explained("gas/scaled")).output
        made.rate = 70.0
        await made.pass_time(times=4)
        told = (await explained("gas/scaled")).output
        assert "up from 2 to " in told
        assert "demand: " in told
        made.series.broken = True
        await made.pass_time(times=2)
        assert "MetricsHealthy=False" in (await explained("gpuautoscaler/scaled")).output
        missing = await explained("gas/nobody")
        assert missing.exit_code == 1
        assert "no GPUAutoscaler nobody" in missing.output


STOPPED = {
    "no such version": ("nowhere", "TargetNotFound"),
    "another was first": ("v1", "TargetTaken"),
}


@pytest.mark.parametrize(("version", "reason"), STOPPED.values(), ids=STOPPED)
async def test_what_is_not_for_it_to_scale(tmp_path: Path, version: str, reason: str) -> None:
    """The condition says why, once as an Event, and nothing is touched."""
    async with site(tmp_path) as made:
        if version == "v1":
            await made.autoscaler("first")
        await made.autoscaler(version=version)
        await made.pass_time(times=3)
        assert made.condition("AbleToScale")["reason"] == reason
        assert made.stage.events().count(reason) == 1
        assert made.replicas() == 2
