"""What a rollout would take, by the keeper's own decisions."""

from __future__ import annotations

from typing import Any

import pytest

from ostiary_operator.kubectl.quota import fits
from ostiary_operator.kubectl.rollout import Rollout, VersionSeen
from ostiary_operator.kubectl.simulate import Assumed, Forecast, forecast, told
from ostiary_operator.resources.analysis import AnalysisTemplateSpec
from ostiary_operator.resources.model_deployment import ModelDeploymentSpec, ModelDeploymentStatus
from ostiary_operator.resources.model_version import ModelVersionSpec, ModelVersionStatus

NOW = 1_790_000_000.0


def version(name: str, replicas: int = 0, gpus: int = 1, load: float | None = 90.0) -> VersionSeen:
    spec = ModelVersionSpec.model_validate(
        {
            "model": "qwen",
            "version": name,
            "image": "pod",
            "checksPerSecond": 10.0,
            "gpu": {"count": gpus},
            "artifact": {"uri": "s3://b", "digest": f"sha256:{'0' * 64}"},
        }
    )
    return VersionSeen(name, spec, ModelVersionStatus(load_seconds_p95=load), replicas, replicas, ())


def rollout(*steps: dict[str, Any], to: str = "v2", **more: Any) -> Rollout:
    """v1 serves with four pods of one GPU; v2 has two GPUs a pod."""
    spec = {
        "model": "qwen", "versionRef": {"name": to}, "replicas": 4,
        "strategy": {"canary": {"steps": list(steps)}}, **more,
    }  # fmt: skip
    history = [{"version": "v1", "at": NOW - 1000, "why": "the first version"}]
    status = {"stable": "v1", "phase": "Healthy", "history": history}
    template = {"minSamples": 500, "seconds": 600, "metrics": [
        {"name": "errors", "compare": {"figure": "errors", "margin": 0.01}},
    ]}  # fmt: skip
    return Rollout(
        name="qwen",
        namespace="shop",
        now=NOW,
        generation=1,
        spec=ModelDeploymentSpec.model_validate(spec),
        status=ModelDeploymentStatus.model_validate(status),
        versions={"v1": version("v1", 4), "v2": version("v2", gpus=2)},
        weights={"v1": 10_000},
        templates={"canary": AnalysisTemplateSpec.model_validate(template)},
    )


def at(found: Forecast, what: str) -> float:
    """When something begins."""
    return next(one.at for one in found.moments if what in one.what)


def test_times_are_those_of_steps_and_of_loading() -> None:
    """A pod is loaded before it gets traffic; pauses last as long as they say, to a few seconds."""
    found = forecast(rollout({"setWeight": 2500}, {"pauseSeconds": 600}), Assumed())
    assert found.arrived
    began = at(found, "step 2: wait 10m")
    assert 90 <= began <= 105
    assert 600 <= at(found, "v2 gets all traffic") - began <= 612
    assert found.moments[-1].weights == {"v2": 10_000}
    assert found.notes == ()


def test_gpus_are_counted_at_their_most() -> None:
    """Both versions in full while the new one takes over, 4 of one GPU, 4 of two; then v1 stays warm."""
    found = forecast(rollout({"setWeight": 2500}), Assumed())
    assert found.gpus == (4, 12, 12)
    cold = forecast(rollout({"setWeight": 2500}, warm={"versions": 0}), Assumed())
    assert cold.gpus == (4, 12, 8)
    assert any("nothing to go back to" in note for note in cold.notes)


def test_an_analysis_lasts_until_it_has_its_samples() -> None:
    """500 at a tenth of 20 checks a second are 250 s; at 0.5 a second they never come, which is said."""
    plan = ({"setWeight": 1000}, {"analysis": {"template": "canary"}})
    found = forecast(rollout(*plan), Assumed(demand=20.0))
    assert 250 <= at(found, "v2 gets all traffic") - at(found, "judge") <= 270
    slow = forecast(rollout(*plan), Assumed(demand=0.5))
    assert any("it would be inconclusive" in note for note in slow.notes)
    gone = forecast(rollout({"setWeight": 1000}, {"analysis": {"template": "none"}}), Assumed())
    assert any("there is no AnalysisTemplate none" in note for note in gone.notes)


def test_gates_are_noted_and_capacity_is_counted() -> None:
    """What a Job would say is not known; what the pods of `gates.capacity.pods` carry is."""
    bounds = [{"figure": "category/top1", "atLeast": 0.7}]
    golden = {"folder": "pvc://golden", "bounds": bounds}
    steps = {"canary": {"steps": [{"setWeight": 1000}]}}
    found = forecast(rollout(strategy={**steps, "gates": {"goldenSet": golden}}), Assumed())
    assert found.arrived
    assert found.moments[0].what == "v2 stands before gate goldenSet"
    assert any("gate goldenSet is taken as passed" in note for note in found.notes)
    small = {**steps, "gates": {"capacity": {"pods": 1}}}
    held = forecast(rollout(strategy=small), Assumed(demand=20.0))
    assert not held.arrived
    assert any("at most 10 checks/s, 1 pods of 10" in note for note in held.notes)


def test_what_is_not_known_is_said() -> None:
    """How long a version loads, that people would be waited for, that it is paused."""
    seen = rollout({"setWeight": 1000}, {"pause": True}, paused=True)
    seen = Rollout(**{**vars(seen), "versions": {**seen.versions, "v2": version("v2", load=None)}})
    found = forecast(seen, Assumed(load_seconds=300.0))
    assert found.arrived
    assert at(found, "step 2") >= 300
    notes = "\n".join(found.notes)
    for words in ("5m is assumed", "step 2 waits for somebody", "spec.paused is set"):
        assert words in notes


def test_what_never_arrives_is_said() -> None:
    """A version that loads longer than the deadline allows."""
    found = forecast(rollout({"setWeight": 1000}, progressDeadlineSeconds=60), Assumed())
    assert not found.arrived
    assert "it ends Degraded" in "\n".join(told(found))


def test_a_version_there_is_not_is_refused() -> None:
    """By its name."""
    with pytest.raises(ValueError, match="there is no ModelVersion v9 of model qwen"):
        forecast(rollout(to="v9"), Assumed())


QUOTAS: dict[str, tuple[dict[str, str], dict[str, str], list[bool]]] = {
    "room": ({"requests.nvidia.com/gpu": "16"}, {"requests.nvidia.com/gpu": "7"}, [True]),
    "others have it": ({"requests.nvidia.com/gpu": "16"}, {"requests.nvidia.com/gpu": "9"}, [False]),
    "thousands": ({"requests.nvidia.com/gpu": "2k"}, {}, [True]),
    "of something else": ({"cpu": "1"}, {"cpu": "1"}, []),
}


@pytest.mark.parametrize(("hard", "used", "expected"), QUOTAS.values(), ids=QUOTAS)
def test_quotas_have_to_have_room(hard: dict[str, str], used: dict[str, str], expected: list[bool]) -> None:
    """For what it takes at most, beside what others use: 4 of what is used are its own, 12 its most."""
    quota = {"metadata": {"name": "q"}, "spec": {"hard": hard}, "status": {"hard": hard, "used": used}}
    assert [one.fits for one in fits([quota], "nvidia.com/gpu", 4, 12)] == expected
