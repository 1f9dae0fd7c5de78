"""kubectl's other verbs against the sandbox: what people type in a day."""

import json
import subprocess
import time
from typing import Any

import pytest

from cluster.kubectl import Kubectl, column
from cluster.sandbox_thread import SandboxThread
from cluster.shapes import config_map, deployment

Json = dict[str, Any]


def gone(kubectl: Kubectl, what: str) -> None:
    """Waits until nothing of a kind is left."""
    deadline = time.monotonic() + 20
    while kubectl.run("get", what, "-o", "name"):
        assert time.monotonic() < deadline


@pytest.mark.parametrize(
    ("command", "kind", "name", "path", "value"),
    [
        pytest.param(
            ("configmap", "one", "--from-literal=a=1"), "configmap", "one", "{.data.a}", "1", id="configmap"
        ),
        pytest.param(
            ("secret", "generic", "one", "--from-literal=a=b"),
            "secret", "one", "{.data.a}", "Yg==", id="secret",
        ),
        pytest.param(
            ("deployment", "none", "--image=registry.example/web:1", "--replicas=0"),
            "deployment", "none", "{.spec.replicas}", "0", id="deployment without pods",
        ),
        pytest.param(
            ("service", "clusterip", "one", "--tcp=80:8080"),
            "service", "one", "{.spec.ports[0].targetPort}", "8080", id="service",
        ),
        pytest.param(
            ("serviceaccount", "one"), "serviceaccount", "one", "{.metadata.name}", "one", id="account"
        ),
        pytest.param(
            ("role", "one", "--verb=get", "--resource=pods"),
            "role", "one", "{.rules[0].verbs[0]}", "get", id="role",
        ),
        pytest.param(
            ("rolebinding", "one", "--role=one", "--user=alice"),
            "rolebinding", "one", "{.subjects[0].name}", "alice", id="rolebinding",
        ),
        pytest.param(
            ("quota", "one", "--hard=pods=7,requests.cpu=500m"),
            "quota", "one", r"{.spec.hard.requests\.cpu}", "500m", id="quota",
        ),
        pytest.param(
            ("poddisruptionbudget", "one", "--selector=app=web", "--min-available=50%"),
            "pdb", "one", "{.spec.minAvailable}", "50%", id="budget",
        ),
    ],
)  # fmt: skip
def test_objects_from_the_command_line(
    newest: Kubectl, command: tuple[str, ...], kind: str, name: str, path: str, value: str
) -> None:
    """What kubectl builds itself - in protobuf since 1.32 - is stored as it was meant."""
    assert "created" in newest.run("create", *command)
    assert newest.run("get", kind, name, "-o", f"jsonpath={path}") == value


def test_namespaces_come_and_go(kubectl: Kubectl) -> None:
    """A namespace is made, used and deleted with what is in it."""
    name = f"{kubectl.namespace}-more"
    kubectl.run("create", "namespace", name)
    kubectl.run("create", "configmap", "one", "-n", name)
    kubectl.run("delete", "namespace", name, "--timeout=20s")
    assert "not found" in kubectl.run("get", "namespace", name, fails=True)


def test_asking_what_one_may(kubectl: Kubectl) -> None:
    """`auth can-i` answers for oneself and for whom one acts as; acting as somebody has that one's rights."""
    kubectl.run("create", "role", "reader", "--verb=get,list", "--resource=configmaps")
    kubectl.run("create", "rolebinding", "reader", "--role=reader", "--user=carol")
    assert kubectl.run("auth", "can-i", "create", "pods").strip() == "yes"
    assert kubectl.run("auth", "can-i", "get", "configmaps", "--as=carol").strip() == "yes"
    assert "no" in kubectl.run("auth", "can-i", "delete", "configmaps", "--as=carol", code=1)
    assert "configmaps" in kubectl.run("auth", "can-i", "--list", "--as=carol")
    kubectl.run("get", "configmaps", "--as=carol")
    told = kubectl.run("delete", "configmap", "one", "--as=carol", fails=True)
    assert 'User "carol" cannot' in told


def test_a_service_account_gets_a_token(newest: Kubectl, sandbox: SandboxThread) -> None:
    """`create token` gives what the server knows the account by."""
    newest.run("create", "serviceaccount", "robot")
    token = newest.run("create", "token", "robot").strip()
    caller = sandbox.cluster.tokens.caller(token)
    assert caller is not None
    assert caller.name == f"system:serviceaccount:{newest.namespace}:robot"


def test_draining_respects_budgets(newest: Kubectl) -> None:
    """A drain evicts, is held up by a budget, and ends when the pods that it waits for are elsewhere."""
    wanted = deployment(replicas=2)
    wanted["spec"]["template"]["spec"]["tolerations"] = [{"key": "nvidia.com/gpu", "operator": "Exists"}]
    newest.run("apply", "-f", "-", stdin=wanted)
    newest.run("rollout", "status", "deployment/web", "--timeout=20s")
    newest.run("create", "poddisruptionbudget", "web", "--selector=app=web", "--min-available=1")
    pods = json.loads(newest.run("get", "pods", "-o", "json"))["items"]
    node = pods[0]["spec"]["nodeName"]
    try:
        newest.run("drain", node, "--ignore-daemonsets", "--pod-selector=app=web", "--timeout=40s")
        assert "SchedulingDisabled" in newest.run("get", "node", node)
        assert node not in newest.run("get", "pods", "-o", "jsonpath={.items[*].spec.nodeName}")
    finally:
        newest.run("uncordon", node)


@pytest.mark.parametrize("cascade", ["background", "foreground", "orphan"])
def test_deletions_cascade(kubectl: Kubectl, cascade: str) -> None:
    """Background and foreground take what is owned along, orphan leaves it without an owner."""
    kubectl.run("apply", "-f", "-", stdin=deployment(replicas=1))
    kubectl.run("rollout", "status", "deployment/web", "--timeout=20s")
    kubectl.run("delete", "deployment", "web", f"--cascade={cascade}", "--timeout=20s")
    if cascade != "orphan":
        gone(kubectl, "replicasets,pods")
        return
    (left,) = json.loads(kubectl.run("get", "replicasets", "-o", "json"))["items"]
    assert not left["metadata"].get("ownerReferences")
    assert column(kubectl.run("get", "pods"), "STATUS") == ["Running"]
    kubectl.run("delete", "replicaset", left["metadata"]["name"])


def test_rollouts_are_paused_and_traced(kubectl: Kubectl) -> None:
    """set image, pause, resume, restart, history and undo to a revision."""
    kubectl.run("apply", "-f", "-", stdin=deployment(replicas=1))
    kubectl.run("rollout", "status", "deployment/web", "--timeout=20s")
    kubectl.run("rollout", "pause", "deployment/web")
    kubectl.run("set", "image", "deployment/web", "main=registry.example/web:2")
    assert len(kubectl.run("get", "replicasets", "-o", "name").split()) == 1
    kubectl.run("rollout", "resume", "deployment/web")
    kubectl.run("rollout", "status", "deployment/web", "--timeout=20s")
    kubectl.run("rollout", "restart", "deployment/web")
    kubectl.run("rollout", "status", "deployment/web", "--timeout=20s")
    history = kubectl.run("rollout", "history", "deployment/web")
    assert [line.split()[0] for line in history.splitlines()[2:] if line.strip()] == ["1", "2", "3"]
    assert "registry.example/web:2" in kubectl.run("rollout", "history", "deployment/web", "--revision=2")
    kubectl.run("rollout", "undo", "deployment/web", "--to-revision=1")
    kubectl.run("rollout", "status", "deployment/web", "--timeout=20s")
    image = "jsonpath={.spec.template.spec.containers[0].image}"
    assert kubectl.run("get", "deployment", "web", "-o", image) == "registry.example/web:1"


def test_watching(kubectl: Kubectl) -> None:
    """`get -w` prints what comes, with what happened to it."""
    kubectl.run("create", "configmap", "seen")
    command = ("get", "configmaps", "-w", "--output-watch-events", "--field-selector=metadata.name=seen")
    with kubectl.started(*command) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline().split() for _ in range(2)]
        kubectl.run("create", "configmap", "unseen")
        kubectl.run("patch", "configmap", "seen", "-p", '{"data": {"a": "1"}}')
        kubectl.run("delete", "configmap", "seen")
        lines += [process.stdout.readline().split() for _ in range(2)]
    assert lines[0] == ["EVENT", "NAME", "DATA", "AGE"]
    assert [line[:3] for line in lines[1:]] == [
        ["ADDED", "seen", "0"],
        ["MODIFIED", "seen", "1"],
        ["DELETED", "seen", "1"],
    ]


def test_selecting(kubectl: Kubectl) -> None:
    """Field selectors and label selectors choose; unknown fields are told."""
    kubectl.run("apply", "-f", "-", stdin=deployment(replicas=2))
    kubectl.run("rollout", "status", "deployment/web", "--timeout=20s")
    running = kubectl.run(
        "get", "pods", "--field-selector=status.phase=Running", "-l", "app=web", "-o", "name"
    )
    assert len(running.split()) == 2
    assert not kubectl.run("get", "pods", "--field-selector=status.phase!=Running", "-o", "name")
    told = kubectl.run("get", "pods", "--field-selector=spec.nope=1", fails=True)
    assert "field label not supported: spec.nope" in told


def test_what_there_is(kubectl: Kubectl) -> None:
    """api-resources, api-versions and explain tell kinds, versions and fields."""
    resources = kubectl.run("api-resources")
    assert {"pods", "deployments", "leases", "poddisruptionbudgets"} <= {
        line.split()[0] for line in resources.splitlines()
    }
    assert {"v1", "apps/v1", "events.k8s.io/v1"} <= set(kubectl.run("api-versions").split())
    told = kubectl.run("explain", "deployment.spec.replicas")
    assert "integer" in told
    assert "Number of desired pods" in told
    assert "matchLabels" in kubectl.run("explain", "deployment.spec.selector")


def test_a_difference_is_shown(kubectl: Kubectl) -> None:
    """`diff` asks the server what an apply would change, and changes nothing."""
    kubectl.run("apply", "-f", "-", stdin=config_map())
    changed = kubectl.run("diff", "-f", "-", stdin=config_map(data={"a": "2"}), code=1)
    assert '-  a: "1"' in changed
    assert '+  a: "2"' in changed
    assert kubectl.run("get", "configmap", "one", "-o", "jsonpath={.data.a}") == "1"
    kubectl.run("diff", "-f", "-", stdin=config_map())


def test_what_has_no_containers_is_refused(kubectl: Kubectl) -> None:
    """exec and port-forward are refused in a Status that kubectl shows; a pod that waits has no logs."""
    kubectl.run("apply", "-f", "-", stdin=deployment(replicas=1))
    kubectl.run("rollout", "status", "deployment/web", "--timeout=20s")
    for command in (("exec", "deploy/web", "--", "ls"), ("port-forward", "deploy/web", ":80")):
        assert "the sandbox runs no containers" in kubectl.run(*command, fails=True)
    assert kubectl.run("logs", "deploy/web") == ""
    assert "previous terminated container" in kubectl.run("logs", "deploy/web", "--previous", fails=True)
    pod = deployment(image="registry.example/none:1")["spec"]["template"]
    failing = {"sandbox.ostiary.dev/fail": "image"}
    waiting: Json = {"apiVersion": "v1", "kind": "Pod", "spec": pod["spec"]}
    waiting["metadata"] = {"name": "waiting", "annotations": failing}
    kubectl.run("create", "-f", "-", stdin=waiting)
    reason = "jsonpath={.status.containerStatuses[0].state.waiting.reason}"
    deadline = time.monotonic() + 10
    while "Pull" not in kubectl.run("get", "pod", "waiting", "-o", reason):
        assert time.monotonic() < deadline
    assert "is waiting to start: trying and failing to pull image" in kubectl.run(
        "logs", "waiting", fails=True
    )


def test_events_are_told(newest: Kubectl) -> None:
    """`kubectl events` and the columns of `get events.events.k8s.io` show the same events."""
    newest.run("apply", "-f", "-", stdin=deployment(replicas=1))
    newest.run("rollout", "status", "deployment/web", "--timeout=20s")
    assert "ScalingReplicaSet" in newest.run("events", "--for=deployment/web")
    assert "Scaled up replica set" in newest.run("get", "events.events.k8s.io")


def test_scales_and_replacements(newest: Kubectl) -> None:
    """The subresource scale has columns of its own; replace puts an object in another's place."""
    newest.run("apply", "-f", "-", stdin=deployment(replicas=0))
    table = newest.run("get", "deployment", "web", "--subresource=scale")
    assert table.split()[:4] == ["NAME", "DESIRED", "AVAILABLE", "AGE"]
    before = newest.run("get", "deployment", "web", "-o", "jsonpath={.metadata.uid}")
    newest.run("replace", "--force", "-f", "-", stdin=deployment(replicas=0, paused=True))
    assert newest.run("get", "deployment", "web", "-o", "jsonpath={.metadata.uid}") != before


def test_waiting_for_the_end(kubectl: Kubectl) -> None:
    """`wait --for=delete` returns when the object is gone."""
    kubectl.run("create", "configmap", "one")
    with kubectl.started("wait", "--for=delete", "configmap/one", "--timeout=20s", "-v=6") as process:
        assert process.stdout is not None
        assert any("watch=true" in line for line in process.stdout), "it does not watch"
        kubectl.run("delete", "configmap", "one")
        assert process.wait(20) == 0


def test_a_file_that_cannot_be_is_told(kubectl: Kubectl) -> None:
    """Unknown fields, wrong types and unknown kinds end with a message that names them."""
    wrong = deployment()
    wrong["spec"]["replicas"] = "many"
    assert "spec.replicas" in kubectl.run("apply", "-f", "-", stdin=wrong, fails=True)
    unknown = deployment()
    unknown["spec"]["dada"] = 1
    assert 'unknown field "' in kubectl.run("apply", "-f", "-", stdin=unknown, fails=True)
    nothing = {"apiVersion": "nowhere.dev/v1", "kind": "Nothing", "metadata": {"name": "one"}}
    assert 'no matches for kind "Nothing"' in kubectl.run("apply", "-f", "-", stdin=nothing, fails=True)


def test_kubectl_ends_with_the_code_of_its_process(newest: Kubectl) -> None:
    """The helper of these tests tells failure from success."""
    with pytest.raises(AssertionError):
        newest.run("get", "configmap", "none")
    with pytest.raises(subprocess.TimeoutExpired), newest.started("get", "configmaps", "-w") as process:
        process.wait(0.2)
