"""Jobs on a virtual clock: pods that end well or not, limits of failures and of time, rules for failures."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from cluster.shapes import job
from ostiary_operator.sandbox.api.request import Caller, Deletion, Write
from ostiary_operator.sandbox.clock import VirtualClock
from ostiary_operator.sandbox.cluster import Cluster, Settings
from ostiary_operator.sandbox.controllers.desk import condition
from ostiary_operator.sandbox.controllers.kubelet import EXIT, FAIL, LOAD, MESSAGE, Timings
from ostiary_operator.sandbox.controllers.scheduler import new_node

Json = dict[str, Any]
_WRITE = Write()
_RULES = {
    "rules": [
        {"action": "FailJob", "onExitCodes": {"containerName": "main", "operator": "In", "values": [3]}},
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]},
    ]
}


class Site:
    """A cluster on a virtual clock with one Job."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.jobs = cluster.resource("batch", "v1", "jobs")

    async def begin(self, made: Json) -> None:
        await self.cluster.operations.create(self.jobs, "default", made, _WRITE)
        await self.cluster.advance(0)

    @property
    def job(self) -> Json:
        return self.cluster.operations.stored(self.jobs, "default", "once").data

    def pods(self) -> list[Json]:
        return self.cluster.store.objects("pods.", "default")

    def holds(self) -> dict[str, str]:
        """Reasons of the Job's conditions that hold."""
        return {
            one["type"]: one["reason"] for one in self.job["status"]["conditions"] if one["status"] == "True"
        }


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    """One node, and nothing on it."""
    async with Cluster(Settings(tmp_path, clock=VirtualClock(), nodes=(new_node("a"),))) as cluster:
        yield Site(cluster)


async def test_a_job_that_ends_well_is_complete(site: Site) -> None:
    """Its pod is left with what it said at its end, is counted once, and nothing holds it any more."""
    await site.begin(job(annotations={EXIT: "0", MESSAGE: '{"top1": 0.9}', LOAD: "30"}))
    assert site.job["status"]["active"] == 1
    await site.cluster.advance(60)
    assert site.holds() == {"SuccessCriteriaMet": "CompletionsReached", "Complete": "CompletionsReached"}
    assert site.job["status"]["succeeded"] == 1
    assert "completionTime" in site.job["status"]
    (pod,) = site.pods()
    ended = pod["status"]["containerStatuses"][0]["state"]["terminated"]
    assert (pod["status"]["phase"], ended["exitCode"], ended["message"]) == ("Succeeded", 0, '{"top1": 0.9}')
    assert not pod["metadata"].get("finalizers")


async def test_failures_are_tried_again_within_the_limit(site: Site) -> None:
    """Each after a longer rest; one more than the limit, and the Job has failed."""
    await site.begin(job(annotations={EXIT: "1"}, backoffLimit=2))
    await site.cluster.advance(9)
    assert len(site.pods()) == 1
    await site.cluster.advance(10)
    assert len(site.pods()) == 2
    await site.cluster.advance(60)
    assert site.holds() == {"FailureTarget": "BackoffLimitExceeded", "Failed": "BackoffLimitExceeded"}
    assert (site.job["status"]["failed"], len(site.pods())) == (3, 3)


async def test_a_job_that_takes_too_long_is_ended(site: Site) -> None:
    """Its pod goes, and it has failed for its deadline only when the pod is gone."""
    made = job(annotations={LOAD: "1000"}, activeDeadlineSeconds=20)
    made["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = 5
    await site.begin(made)
    await site.cluster.advance(60)
    assert site.holds()["Failed"] == "DeadlineExceeded"
    assert not site.pods()
    assert "active" not in site.job["status"]


async def test_an_image_that_cannot_be_pulled_waits_for_the_deadline(site: Site) -> None:
    """A kubelet tries for ever: the Job stays active until its time is over."""
    await site.begin(job(annotations={FAIL: "image"}, activeDeadlineSeconds=100))
    await site.cluster.advance(90)
    waiting = site.pods()[0]["status"]["containerStatuses"][0]["state"]["waiting"]
    assert (waiting["reason"], site.job["status"]["active"]) == ("ImagePullBackOff", 1)
    await site.cluster.advance(60)
    assert site.holds()["Failed"] == "DeadlineExceeded"


async def test_a_rule_ends_a_job_at_once(site: Site) -> None:
    """An exit code that trying again does not mend fails the Job with its first pod, in words."""
    await site.begin(job(annotations={EXIT: "3"}, podFailurePolicy=_RULES))
    await site.cluster.advance(60)
    found = condition(site.job, "Failed")
    assert found is not None
    assert found["reason"] == "PodFailurePolicy"
    assert "failed with exit code 3 matching FailJob rule at index 0" in found["message"]
    assert site.job["status"]["failed"] == 1


async def test_an_evicted_pod_is_no_failure_where_a_rule_says_so(site: Site) -> None:
    """Another takes its place, and the Job's failures are as before."""
    await site.begin(job(annotations={EXIT: "0", LOAD: "50"}, podFailurePolicy=_RULES, backoffLimit=0))
    await site.cluster.advance(10)
    first = site.pods()[0]["metadata"]["name"]
    pods = site.cluster.resource("", "v1", "pods")
    await site.cluster.deletions.evict(pods, "default", first, {}, Caller("drain"))
    await site.cluster.advance(200)
    assert site.holds()["Complete"] == "CompletionsReached"
    assert "failed" not in site.job["status"]
    assert [pod["metadata"]["name"] for pod in site.pods()] != [first]


async def test_a_deleted_pod_is_a_failure(site: Site) -> None:
    """Without a rule, whatever takes a pod away counts."""
    await site.begin(job(annotations={EXIT: "0", LOAD: "50"}, backoffLimit=0))
    await site.cluster.advance(10)
    pod = site.pods()[0]["metadata"]
    pods = site.cluster.resource("", "v1", "pods")
    await site.cluster.deletions.delete(pods, "default", pod["name"], Deletion(), Caller("somebody"))
    await site.cluster.advance(60)
    assert site.holds()["Failed"] == "BackoffLimitExceeded"


async def test_a_suspended_job_has_no_pods(site: Site) -> None:
    """Its time begins when it goes on."""
    await site.begin(job(annotations={EXIT: "0"}, suspend=True, activeDeadlineSeconds=30))
    await site.cluster.advance(100)
    assert (site.pods(), site.holds()) == ([], {"Suspended": "JobSuspended"})
    await site.cluster.operations.change(
        site.jobs, "default", "once", lambda old: old | {"spec": old["spec"] | {"suspend": False}}, _WRITE
    )
    await site.cluster.advance(20)
    assert site.holds()["Complete"] == "CompletionsReached"


async def test_several_pods_beside_each_other(site: Site) -> None:
    """As many at a time as may be, until as many have succeeded as have to."""
    await site.begin(job(annotations={EXIT: "0", LOAD: "10"}, parallelism=2, completions=5))
    assert site.job["status"]["active"] == 2
    await site.cluster.advance(100)
    assert site.job["status"]["succeeded"] == 5


@pytest.mark.parametrize(
    ("policy", "left"), [("", 1), ("Background", 0)], ids=["without a word its pods stay", "with its pods"]
)
async def test_what_goes_with_a_job(site: Site, policy: str, left: int) -> None:
    """Who deletes a Job of batch/v1 has to say that its pods are to go too."""
    await site.begin(job(annotations={LOAD: "1000"}))
    await site.cluster.advance(5)
    await site.cluster.deletions.delete(
        site.jobs, "default", "once", Deletion(policy=policy), Caller("somebody")
    )
    await site.cluster.advance(60)
    assert not site.cluster.store.objects("jobs.batch", "default")
    assert len(site.pods()) == left
    assert not any(pod["metadata"].get("finalizers") for pod in site.pods())


async def test_a_job_goes_when_it_has_been_over_for_long_enough(site: Site) -> None:
    """And its pods go with it."""
    await site.begin(job(annotations={EXIT: "0"}, ttlSecondsAfterFinished=100))
    await site.cluster.advance(60)
    assert site.holds()["Complete"]
    await site.cluster.advance(100)
    assert not site.cluster.store.objects("jobs.batch", "default")
    assert not site.pods()


_SAYS = "import pathlib, sys; pathlib.Path(sys.argv[1]).write_text('0.91'); sys.exit(int(sys.argv[2]))"
_PRINTS = "import sys; print('no photographs', flush=True); sys.exit(1)"


@pytest.mark.parametrize(
    ("command", "code", "message"),
    [
        ([_SAYS, "/dev/termination-log", "3"], 3, "0.91"),
        ([_PRINTS], 1, "no photographs\n"),
    ],
    ids=["what it wrote", "the end of its log"],
)
async def test_last_words_of_a_process(tmp_path: Path, command: list[str], code: int, message: str) -> None:
    """A command writes its termination message where its container says; else its log stands for it."""
    settings = Settings(tmp_path, processes=True, nodes=(new_node("here"),), timings=Timings(pull=0.0))
    made = job(backoffLimit=0)
    container = made["spec"]["template"]["spec"]["containers"][0]
    container |= {
        "command": [sys.executable, "-c", *command],
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    async with Cluster(settings) as cluster:
        site = Site(cluster)
        await cluster.operations.create(site.jobs, "default", made, _WRITE)
        async with asyncio.timeout(20):
            while not any(pod["status"]["phase"] == "Failed" for pod in site.pods()):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        ended = site.pods()[0]["status"]["containerStatuses"][0]["state"]["terminated"]
        assert (ended["exitCode"], ended["message"]) == (code, message)
