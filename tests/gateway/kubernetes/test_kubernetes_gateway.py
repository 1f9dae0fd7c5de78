"""A gateway that serves what a cluster says, and one that has its files and no client of Kubernetes."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import grpc
import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from gateway.kubernetes.stage import POLICY, Stage, route
from gateway.scripted_pod import Script, serving
from gateway.site import DOMAIN, People, Running, Site, until
from ostiary.v1.admin_pb2 import ListPoliciesRequest, PutPolicyRequest
from ostiary.v1.admin_pb2_grpc import AdminServiceStub
from ostiary.v1.decision_pb2 import Verdict
from ostiary.v1.image_pb2 import Image
from ostiary.v1.moderation_pb2 import CheckRequest
from ostiary.wire.errors import Reason, from_rpc_error
from ostiary_gateway.cli.policy import app as policy_app
from ostiary_gateway.cli.rules import app as rules_app
from ostiary_gateway.kubernetes.api_server import LEASES, POLICIES, ROUTES
from ostiary_gateway.kubernetes.lease import RATES
from ostiary_gateway.settings import KubernetesSettings

CHECK = CheckRequest(images=[Image(data=b"image")])


async def verdict(running: Running) -> str:
    answer = await running.as_("pipeline").Check(CHECK, timeout=10)
    return Verdict.Name(answer.verdict)


async def test_checks_go_where_the_cluster_says(cluster: Stage, tmp_path: Path, people: People) -> None:
    """From the pods of one version to those of another with the ack, and to HOLD where a version has none."""
    one, two = Script(), Script()
    async with (
        serving(one, people.credentials("pod")) as first,
        serving(two, people.credentials("pod")) as second,
    ):
        await cluster.put(ROUTES, "qwen", route(1, v1=10_000))
        await cluster.put(POLICIES, "default", POLICY)
        await cluster.pods("v1", "127.0.0.1", port=int(first.address.rpartition(":")[2]))
        await cluster.pods("v2", "127.0.0.1", port=int(second.address.rpartition(":")[2]))
        site = Site.make(tmp_path / "gateway", people, [])
        named = {"route": "qwen", "policy": "default", "name": "gw", "server_name": f"pod.{DOMAIN}"}
        kubeconfig = str(cluster.cluster.settings.folder / "kubeconfig")
        async with site.start(
            route=None, policy=None, reuse=None, kubernetes={**named, "kubeconfig": kubeconfig}
        ) as running:
            assert await verdict(running) == "VERDICT_ALLOW"
            assert (len(one.asked), len(two.asked)) == (1, 0)
            await cluster.put(ROUTES, "qwen", route(2, v2=10_000))
            await until(lambda: cluster.acked() == {"qwen": 2})
            assert await verdict(running) == "VERDICT_ALLOW"
            assert (len(one.asked), len(two.asked)) == (1, 1)
            await cluster.pods("v2")
            await until(lambda: cluster.acked() == {"qwen": 2})
            await cluster.put(ROUTES, "qwen", route(3, v2=10_000) | {"failureVerdict": "VERDICT_REVIEW"})
            await until(lambda: cluster.acked() == {"qwen": 3})
            assert await verdict(running) == "VERDICT_REVIEW"
            admin = AdminServiceStub(running.channel("admin"))
            held = await admin.ListPolicies(ListPoliciesRequest(), timeout=10)
            changed = held.policies[0]
            changed.version = "2"
            tried = await admin.PutPolicy(PutPolicyRequest(policy=changed, dry_run=True), timeout=10)
            assert tried.report.after == "2"
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await admin.PutPolicy(PutPolicyRequest(policy=changed), timeout=10)
            assert from_rpc_error(caught.value).reason is Reason.FAILED_PRECONDITION
            lease = cluster.find(LEASES, "ostiary-gateway-gw")
            assert lease
            assert json.loads(lease["metadata"]["annotations"][RATES])["qwen"] > 0
        assert cluster.find(LEASES, "ostiary-gateway-gw") is None


PLACES: dict[str, tuple[dict[str, Any], str]] = {
    "a route twice": ({"kubernetes": {"route": "qwen"}}, "either route, a file, or kubernetes.route"),
    "no policy": ({"policy": None}, "either policy, a file, or kubernetes.policy"),
    "registries twice": ({"brands": "brands", "kubernetes": {"brands": True}}, "either brands, a folder"),
    "nothing": ({"kubernetes": {}}, "say what comes from there"),
    "no such key": ({"kubernetes": {"routes": "qwen"}}, "kubernetes.routes: there is no such key"),
}  # fmt: skip


@pytest.mark.parametrize(("more", "words"), PLACES.values(), ids=PLACES)
async def test_each_thing_comes_from_one_place(
    tmp_path: Path, people: People, more: dict[str, Any], words: str
) -> None:
    """Settings that leave it open are refused."""
    site = Site.make(tmp_path / "gateway", people, [])
    with pytest.raises(ValueError, match=r"gateway\.yaml") as caught:
        site.settings(**more)
    assert words in str(caught.value)


DRY_RUNS: dict[str, tuple[list[str], str]] = {
    "policy replay": (
        ["policy", "replay", "--policy", "policy.yaml", "--config", "gateway.yaml"], "name their folder",
    ),
    "rules dry-run": (["rules", "dry-run", "diversion", "--config", "gateway.yaml"], "without `kubernetes`"),
}  # fmt: skip


@pytest.mark.parametrize(("words", "said"), DRY_RUNS.values(), ids=DRY_RUNS)
def test_what_would_be_decided_is_not_told_without_the_registries(
    tmp_path: Path, people: People, monkeypatch: pytest.MonkeyPatch, words: list[str], said: str
) -> None:
    """Commands that go by gateway.yaml alone ask for files, where objects are in force."""
    site = Site.make(tmp_path / "gateway", people, [])
    site.settings(kubernetes={"brands": True})
    monkeypatch.chdir(site.folder)
    done = CliRunner().invoke({"policy": policy_app, "rules": rules_app}[words[0]], words[1:])
    assert done.exit_code != 0
    assert said in " ".join(done.output.split())


def test_a_server_name_is_made_of_what_is_known() -> None:
    """A placeholder that nothing is known of is refused as the settings are read."""
    with pytest.raises(ValidationError, match="'pod' cannot be filled in"):
        KubernetesSettings(route="qwen", server_name="{pod}.example")


def test_a_gateway_with_files_needs_no_client() -> None:
    """Nothing of Kubernetes is imported before settings ask for it; then what to install is said."""
    script = (
        "import asyncio, sys\n"
        "sys.modules['kubernetes_asyncio'] = sys.modules['aiohttp'] = None\n"
        "import ostiary_gateway.serve\n"
        "assert not any(name.startswith('ostiary_gateway.kubernetes') for name in sys.modules)\n"
        "from ostiary_gateway.kubernetes.api_server import connected\n"
        "async def main():\n"
        "    async with connected(None, None, None): pass\n"
        "try: asyncio.run(main())\n"
        "except ValueError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "kubernetes: the client is missing: pip install 'ostiary[kubernetes]'\n"
