"""Jobs as the API server takes, completes and refuses them."""

from typing import Any

import pytest

from cluster.api_client import Api
from cluster.shapes import job

Json = dict[str, Any]
_UID, _NAME = "batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name"


@pytest.fixture
def jobs(namespace: str) -> str:
    """Path of the Jobs of a namespace."""
    return f"/apis/batch/v1/namespaces/{namespace}/jobs"


def test_what_a_job_does_not_say(api: Api, jobs: str) -> None:
    """One pod, six failures, and pods that are told by the Job's uid."""
    made = api.made(jobs, job(suspend=True))
    spec, uid = made["spec"], made["metadata"]["uid"]
    assert (spec["completions"], spec["parallelism"], spec["backoffLimit"]) == (1, 1, 6)
    assert spec["completionMode"] == "NonIndexed"
    assert spec["selector"] == {"matchLabels": {_UID: uid}}
    labels = spec["template"]["metadata"]["labels"]
    assert labels == {_UID: uid, _NAME: "once", "controller-uid": uid, "job-name": "once"}


def changed(**changes: Any) -> Json:
    made = job()
    made["spec"]["template"]["spec"] |= changes
    return made


_EXIT_CODES = {"operator": "In", "values": [3]}
_REFUSED = {
    "pods that are started again for ever": (
        changed(restartPolicy="Always"), "spec.template.spec.restartPolicy", "OnFailure",
    ),
    "fewer than no failures": (job(backoffLimit=-1), "spec.backoffLimit", "greater than or equal to 0"),
    "an action that there is not": (
        job(podFailurePolicy={"rules": [{"action": "Shrug", "onExitCodes": _EXIT_CODES}]}),
        "spec.podFailurePolicy.rules[0].action", "Shrug",
    ),
    "a rule without a condition": (
        job(podFailurePolicy={"rules": [{"action": "FailJob"}]}),
        "spec.podFailurePolicy.rules[0]", "OnExitCodes and OnPodConditions is required",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("obj", "field", "words"), _REFUSED.values(), ids=_REFUSED)
def test_what_is_refused(api: Api, jobs: str, obj: Json, field: str, words: str) -> None:
    """With the field, in the words of Kubernetes."""
    answer = api.post(jobs, obj)
    assert (answer.code, answer.reason) == (422, "Invalid")
    assert any(field in cause["field"] and words in cause["message"] for cause in answer.causes), answer.data


def test_a_job_never_changes_what_it_runs(api: Api, jobs: str) -> None:
    """Its template is what it was made with; how many pods may run beside each other is not."""
    api.made(jobs, job())
    containers = [{"name": "main", "image": "registry.example/judge:2"}]
    answer = api.patch(f"{jobs}/once", {"spec": {"template": {"spec": {"containers": containers}}}})
    assert (answer.code, answer.causes[0]["field"]) == (422, "spec.template")
    assert api.patch(f"{jobs}/once", {"spec": {"parallelism": 0}}).code == 200


def test_a_job_makes_a_pod_that_is_counted(api: Api, jobs: str, namespace: str) -> None:
    """It belongs to the Job, has its labels, and is held until the Job has counted it."""
    if not api.controllers:
        pytest.skip("KUBEBUILDER_ASSETS names no kube-controller-manager")
    made = api.made(jobs, job())
    pods = f"/api/v1/namespaces/{namespace}/pods"
    (pod,) = api.until(pods, lambda answer: len(answer.body["items"]) == 1)["items"]
    metadata = pod["metadata"]
    assert metadata["ownerReferences"][0]["uid"] == made["metadata"]["uid"]
    assert (metadata["generateName"], metadata["labels"][_NAME]) == ("once-", "once")
    assert metadata["finalizers"] == ["batch.kubernetes.io/job-tracking"]
    api.until(f"{jobs}/once", lambda answer: answer.body["status"].get("active") == 1)


@pytest.mark.parametrize("policy", ["", "Background"], ids=["without a word", "in the background"])
def test_whoever_deletes_a_job_says_what_becomes_of_its_pods(
    api: Api, jobs: str, namespace: str, policy: str
) -> None:
    """They stay, unless they are to go."""
    if not api.controllers:
        pytest.skip("KUBEBUILDER_ASSETS names no kube-controller-manager")
    api.made(jobs, job())
    pods = f"/api/v1/namespaces/{namespace}/pods"
    (pod,) = api.until(pods, lambda answer: len(answer.body["items"]) == 1)["items"]
    path = f"{pods}/{pod['metadata']['name']}"
    api.delete(f"{jobs}/once", {"propagationPolicy": policy} if policy else None)
    api.until(f"{jobs}/once", lambda answer: answer.code == 404)
    if policy:
        api.until(path, lambda answer: answer.code == 404 or "deletionTimestamp" in answer.body["metadata"])
    else:
        kept = api.until(path, lambda answer: not answer.body["metadata"].get("ownerReferences"))
        assert "deletionTimestamp" not in kept["metadata"]
