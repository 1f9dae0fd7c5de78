"""Series of a Prometheus server → samples of pods and gateways."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from ostiary_operator.autoscaling.spec import AutoscalerSpec
from ostiary_operator.cluster.decision_file import DecisionFile
from ostiary_operator.cluster.metering import by_gateway, by_pod, measure
from ostiary_operator.cluster.prometheus import Newest, Prometheus, Unreachable
from prometheus_api import answering, success

GPU = "DCGM_FI_DEV_GPU_UTIL"


def gpu(pod: str, value: float, uuid: str, at: float = 100.0, **labels: str) -> Newest:
    """A sample of the DCGM exporter."""
    return Newest({"__name__": GPU, "pod": pod, "UUID": uuid, **labels}, value, at)


SHARING = {
    "whole GPUs": ([gpu("a", 50.0, "1"), gpu("b", 50.0, "2")], "none"),
    "instances of one": ([gpu("a", 50.0, "1", GPU_I_ID="7"), gpu("b", 50.0, "1", GPU_I_ID="8")], "mig"),
    "one for two pods": ([gpu("a", 50.0, "1"), gpu("b", 50.0, "1")], "time-slicing"),
    "one that the exporter calls virtual": ([gpu("a", 50.0, "1", vgpu="0")], "time-slicing"),
}


@pytest.mark.parametrize(("series", "sharing"), SHARING.values(), ids=SHARING)
def test_how_gpus_are_cut_up_shows(series: list[Newest], sharing: str) -> None:
    """By the exporter's labels, or by two pods on one device."""
    assert {figures.sharing for figures in by_pod(series).values()} == {sharing}


def test_several_gpus_are_averaged_and_as_old_as_the_oldest() -> None:
    """A pod with two GPUs, and the labels as they are where the exporter's own are kept."""
    kept = {"exported_pod": "a"}
    found = by_pod([gpu("dcgm-x", 90.0, "1", 100.0, **kept), gpu("dcgm-x", 30.0, "2", 70.0, **kept)])
    sample = found["a"].metrics[GPU]
    assert (sample.value, sample.at) == (60.0, 70.0)
    assert found["a"].outstanding is None


def test_a_gateway_is_what_its_present_process_counted() -> None:
    """Series of the process before are left out; late are those beyond the bound next above the deadline."""

    def one(name: str, value: float, at: float = 100.0, **labels: str) -> Newest:
        return Newest({"__name__": name, "instance": "gw:1", **labels}, value, at)

    took = "moderation_check_duration_seconds_bucket"
    found = by_gateway(
        [
            one("moderation_checks_total", 10.0, version="v1", verdict="ALLOW"),
            one("moderation_checks_total", 2.0, version="v1", verdict="HOLD"),
            one("moderation_checks_total", 900.0, at=60.0, version="v1", verdict="BLOCK"),
            one("moderation_checks_total", 77.0, version="v2", verdict="ALLOW"),
            *(
                one(took, value, version="v1", le=le)
                for le, value in (("2.5", 5.0), ("10.0", 9.0), ("+Inf", 12.0))
            ),
            one("moderation_admission_waiting", 4.0),
            one("moderation_admission_refusals_total", 30.0, error_type="OVERLOADED"),
            one("moderation_admission_refusals_total", 50.0, error_type="RATE_LIMITED"),
        ],
        "v1",
        deadline=5.0,
    )["gw:1"]
    assert (found.judged, found.late, found.refused, found.waiting) == (12.0, 3.0, 30.0, 4.0)


@pytest.fixture
async def server() -> AsyncIterator[tuple[str, list[str], list[web.Response]]]:
    """The HTTP API of a Prometheus server: its URL, the queries that it was asked, and its next answers."""
    queries: list[str] = []
    answers: list[web.Response] = []

    async def answer(request: web.Request) -> web.Response:
        queries.append(str((await request.post())["query"]))
        return answers.pop(0)

    async with answering(answer) as url:
        yield url, queries, answers


def matrix(*values: list[object]) -> web.Response:
    """One series with these samples."""
    result = [{"metric": {"pod": "a"}, "values": list(values)}] if values else []
    return success("matrix", result)


async def test_samples_bear_their_own_time(server: tuple[str, list[str], list[web.Response]]) -> None:
    """The newest sample of each series, as it was taken; no number is told as such, and no answer as none."""
    url, queries, answers = server
    answers += [matrix([90.0, "1"], [99.5, "NaN"]), matrix(), web.Response(status=503, text="busy")]
    async with aiohttp.ClientSession() as session:
        asked = Prometheus(session, url)
        (found,) = await asked.newest('pod="a"', 120.0, 100.0)
        assert (found.at, math.isnan(found.value)) == (99.5, True)
        assert queries == ['{pod="a"}[120s]']
        assert await asked.newest('pod="a"', 120.0, 100.0) == []
        with pytest.raises(Unreachable):
            await asked.newest('pod="a"', 120.0, 100.0)


async def test_names_with_dots_stand_for_themselves(
    server: tuple[str, list[str], list[web.Response]],
) -> None:
    """What is asked names the version, its pods and the gateways' labels, and nothing that is no PromQL."""
    url, queries, answers = server
    answers += [matrix(), matrix(), matrix()]
    capacity = {"points": [{"concurrency": 1, "checksPerSecond": 5.0}]}
    spec = AutoscalerSpec.model_validate(
        {"scaleTargetRef": {"name": "v1.2"}, "maxReplicas": 2, "capacity": capacity}
    )
    async with aiohttp.ClientSession() as session:
        assert not (await measure(Prometheus(session, url, 'job="gw"'), spec, "shop", "v1.2", 100.0)).trouble
    assert queries[0].endswith(',version=~"v1[.]2|",job="gw"}[120s]')
    assert queries[1].endswith(',namespace="shop",pod=~"v1[.]2-.+"}[120s]')
    assert queries[2].endswith(',exported_namespace="shop",exported_pod=~"v1[.]2-.+"}[120s]')


async def test_without_a_prometheus() -> None:
    """What to do about it is said."""
    capacity = {"points": [{"concurrency": 1, "checksPerSecond": 5.0}]}
    spec = AutoscalerSpec.model_validate(
        {"scaleTargetRef": {"name": "v1"}, "maxReplicas": 2, "capacity": capacity}
    )
    assert "--prometheus" in (await measure(None, spec, "shop", "v1", 100.0)).trouble


def test_the_log_does_not_grow_for_ever(tmp_path: Path) -> None:
    """A full file is kept once; a folder that is gone is no reason not to go on."""
    log = DecisionFile(tmp_path / "decisions.jsonl", most=20)
    for number in range(5):
        log.write(f"line {number}")
    assert (tmp_path / "decisions.jsonl").read_text("utf-8") == "line 4\n"
    assert (tmp_path / "decisions.jsonl.1").read_text("utf-8") == "line 2\nline 3\n"
    (tmp_path / "decisions.jsonl").unlink()
    (tmp_path / "decisions.jsonl.1").unlink()
    tmp_path.rmdir()
    log.write("nowhere")
