"""What a gateway takes from a cluster, with the API server in this process."""

import asyncio
import base64
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway.brands.registries import png
from gateway.kubernetes.stage import POLICY, Json, Stage, route, stage
from gateway.site import until
from ostiary.v1.config_pb2 import BrandRegistry, ModerationPolicy
from ostiary.wire.errors import OstiaryError, Reason
from ostiary_gateway.kubernetes.api_server import LEASES, POLICIES, REGISTRIES, ROUTES, SLICES, connected
from ostiary_gateway.kubernetes.lease import AckLease, LeaseTimes
from ostiary_gateway.kubernetes.sources import KubernetesSources
from ostiary_gateway.pods import PreparedPods
from ostiary_operator.sandbox.api.request import Caller, Write
from ostiary_operator.sandbox.cluster import Cluster, Settings


def addresses(sources: KubernetesSources) -> dict[str, list[str]]:
    """The pods of each version of the route in force."""
    assert sources.route
    return {one.name: [each.address for each in one.endpoints] for one in sources.route.route().versions}


def registry(*brands: str, shade: int = 0, version: str = "1") -> Json:
    """A BrandRegistry's spec, with a word and a mark for each brand."""
    return {
        "version": version,
        "brands": [
            {
                "id": name,
                "words": [{"referenceId": f"{name}-word", "text": name.upper()}],
                "marks": [{"referenceId": f"{name}-mark", "image": _base64(png(shade + number))}],
            }
            for number, name in enumerate(brands)
        ],
    }


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


async def test_a_route_has_the_pods_of_its_versions(cluster: Stage) -> None:
    """Ready ones, by their slices' labels and the port called grpc; they come and go with the slices."""
    await cluster.put(ROUTES, "qwen", route(3, v1=9000, v2=1000))
    await cluster.pods("v1", "10.0.0.2", "10.0.0.1")
    await cluster.pods("v2", "10.0.1.1", ready=False)
    await cluster.pods("v1", "10.9.9.9", model="other")
    async with cluster.sources(route="qwen") as sources:
        assert sources.route
        assert addresses(sources) == {"v1": ["10.0.0.1:8546", "10.0.0.2:8546"], "v2": []}
        found = sources.route.route()
        assert found.name == "qwen"
        assert found.epoch == 3
        assert found.versions[0].endpoints[0].server_name == "qwen-v1.default.svc"
        await cluster.pods("v2", "10.0.1.1")
        await until(lambda: addresses(sources)["v2"] == ["10.0.1.1:8546"])
        await cluster.remove(SLICES, "qwen-v1-x")
        await until(lambda: addresses(sources)["v1"] == [])


async def test_a_version_gets_no_checks_before_it_has_a_pod(cluster: Stage) -> None:
    """A route may be told before the pods that it counts on: the one before goes on with the pods that come
    and go, and no gateway says that it has applied what it has not.
    """
    await cluster.put(ROUTES, "qwen", route(1, v1=10_000))
    await cluster.pods("v1", "10.0.0.1")
    async with cluster.sources(route="qwen") as sources:
        assert sources.route
        await until(lambda: cluster.acked() == {"qwen": 1})
        await cluster.put(ROUTES, "qwen", route(2, v1=7000, v2=3000))
        await until(lambda: cluster.accepted(ROUTES, "qwen") == ("True", "", True))
        await cluster.pods("v1", "10.0.0.1", "10.0.0.2")
        await until(lambda: addresses(sources) == {"v1": ["10.0.0.1:8546", "10.0.0.2:8546"], "v2": []})
        assert sources.route.route().epoch == 1
        await cluster.put(ROUTES, "qwen", route(3, v1=9000, v2=1000))
        await cluster.pods("v2", "10.0.1.1", ready=False)
        await asyncio.sleep(0.3)
        assert cluster.acked() == {"qwen": 1}
        await cluster.pods("v2", "10.0.1.1")
        await until(lambda: cluster.acked() == {"qwen": 3})
        assert addresses(sources)["v2"] == ["10.0.1.1:8546"]


async def test_a_version_gets_no_checks_before_a_pod_is_prepared(cluster: Stage) -> None:
    """Such as by a gallery, which its pods can be sent meanwhile: the route has them, without checks."""
    prepared = PreparedPods()
    await cluster.put(ROUTES, "qwen", route(1, v1=10_000))
    await cluster.pods("v1", "10.0.0.1")
    await cluster.pods("v2", "10.0.1.1")
    async with cluster.sources(route="qwen", prepared=prepared) as sources:
        assert sources.route
        await until(lambda: cluster.acked() == {"qwen": 1})
        prepared.keep(sources.route.route().versions[0].endpoints)
        await cluster.put(ROUTES, "qwen", route(2, v1=7000, v2=3000))
        await until(lambda: "v2" in addresses(sources))
        found = sources.route.route()
        assert [(one.name, one.weight) for one in found.versions] == [("v1", 10_000), ("v2", 0)]
        assert found.epoch == 1
        assert addresses(sources)["v2"] == ["10.0.1.1:8546"]
        prepared.add(found.versions[1].endpoints[0])
        assert sources.route.route().epoch == 2
        await until(lambda: cluster.acked() == {"qwen": 2})
        await cluster.put(ROUTES, "qwen", route(3, v1=5000, v3=5000))
        await until(lambda: "v3" in addresses(sources))
        await cluster.pods("v3", "10.0.2.1")
        await until(lambda: bool(addresses(sources)["v3"]))
        assert sources.route.route().epoch == 2
        prepared.end()
        assert sources.route.route().epoch == 3


async def test_a_version_whose_pods_are_gone_holds_no_route_up(cluster: Stage) -> None:
    """It gets checks already, so that waiting would keep it getting them: a way out is taken at once."""
    await cluster.put(ROUTES, "qwen", route(1, v1=10_000))
    await cluster.pods("v2", "10.0.1.1")
    async with cluster.sources(route="qwen") as sources:
        assert sources.route
        for epoch, weights in ((2, {"v1": 5000, "v2": 5000}), (3, {"v1": 0, "v2": 10_000})):
            await cluster.put(ROUTES, "qwen", route(epoch, **weights))
            await until(lambda: cluster.acked() == {"qwen": epoch})  # noqa: B023  # awaited in its turn


async def test_pods_that_a_route_names_are_taken_as_they_are(cluster: Stage) -> None:
    """Such as ones outside the cluster."""
    spec = route(1, v1=10_000)
    spec["versions"][0]["endpoints"] = [{"address": "pods.example:8546", "serverName": "pod.example"}]
    await cluster.put(ROUTES, "qwen", spec)
    await cluster.pods("v1", "10.0.0.1")
    async with cluster.sources(route="qwen") as sources:
        assert addresses(sources) == {"v1": ["pods.example:8546"]}


async def test_a_bad_route_leaves_the_last_good_in_force(cluster: Stage) -> None:
    """The object says what is wrong where, and later that it was taken up; a bad one is not acked."""
    await cluster.put(ROUTES, "qwen", route(1, v1=10_000))
    async with cluster.sources(route="qwen") as sources:
        assert sources.route
        await until(lambda: cluster.accepted(ROUTES, "qwen") == ("True", "", True))
        bad = route(2, v1=10_000)
        bad["versions"][0]["endpoints"] = [{"address": "without-port"}]
        await cluster.put(ROUTES, "qwen", bad)
        await until(lambda: cluster.accepted(ROUTES, "qwen")[0] == "False")
        _, why, fresh = cluster.accepted(ROUTES, "qwen")
        assert fresh
        assert "versions[0].endpoints[0].address: host:port" in why
        assert sources.route.route().epoch == 1
        await until(lambda: cluster.acked() == {"qwen": 1})
        await cluster.put(ROUTES, "qwen", route(3, v1=10_000))
        await until(lambda: cluster.accepted(ROUTES, "qwen") == ("True", "", True))
        assert sources.route.route().epoch == 3


async def test_a_route_that_is_removed_stays_in_force(cluster: Stage) -> None:
    """Whoever removes it by mistake stops no check; made anew, it may begin with epoch 1 again."""
    await cluster.put(ROUTES, "qwen", route(7, v1=10_000))
    await cluster.pods("v2", "10.0.1.1")
    async with cluster.sources(route="qwen") as sources:
        assert sources.route
        await cluster.remove(ROUTES, "qwen")
        await asyncio.sleep(0.3)
        assert sources.route.route().epoch == 7
        await cluster.put(ROUTES, "qwen", route(1, v1=5000, v2=5000))
        await until(lambda: cluster.acked() == {"qwen": 1})
        assert sources.route.route().epoch == 1


async def test_epochs_are_acked_at_once(cluster: Stage) -> None:
    """In a Lease of the gateway's own, renewed while it lives and removed when it is told to stop."""
    old = (datetime.now(UTC) - timedelta(hours=3)).isoformat(timespec="microseconds").replace("+00:00", "Z")
    leases = cluster.cluster.resource("coordination.k8s.io", "v1", "leases")
    for name, renewed in (("ostiary-gateway-gone", old), ("ostiary-gateway-beside", None)):
        left: Json = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": name, "labels": {"ostiary.dev/component": "gateway"}},
            "spec": {"renewTime": renewed or old.replace(old[:4], "2999")},
        }
        await cluster.cluster.operations.create(leases, "default", left, Write())
    await cluster.put(ROUTES, "qwen", route(1, v1=10_000))
    await cluster.pods("v2", "10.0.1.1")
    async with cluster.sources(route="qwen") as sources:
        assert sources.route
        for epoch in range(2, 6):
            await cluster.put(ROUTES, "qwen", route(epoch, v1=10_000 - epoch, v2=epoch))
            # Far sooner than the Lease is renewed anyway.
            async with asyncio.timeout(2.0):
                while cluster.acked() != {"qwen": epoch}:  # noqa: ASYNC110  # the store has no event
                    await asyncio.sleep(0.01)
            assert sources.route.route().epoch == epoch
        lease = cluster.find(LEASES, "ostiary-gateway-gw")
        assert lease
        assert lease["metadata"]["labels"] == {"ostiary.dev/component": "gateway"}
        assert lease["spec"]["leaseDurationSeconds"] == 15
        assert lease["spec"]["holderIdentity"] == "gw"
        renewed = datetime.fromisoformat(lease["spec"]["renewTime"])
        assert abs(datetime.now(UTC) - renewed) < timedelta(seconds=5)
        await until(lambda: cluster.find(LEASES, "ostiary-gateway-gone") is None)
    assert cluster.find(LEASES, "ostiary-gateway-gw") is None
    assert cluster.find(LEASES, "ostiary-gateway-beside") is not None


async def test_a_lease_is_renewed_when_nothing_changes(cluster: Stage) -> None:
    """And made again where somebody removed it."""

    def renewed() -> str:
        lease = cluster.find(LEASES, "ostiary-gateway-gw")
        return str(lease["spec"]["renewTime"]) if lease else ""

    kubeconfig = cluster.cluster.settings.folder / "kubeconfig"
    async with connected(None, kubeconfig, None) as server:
        lease = AckLease(server, "gw", times=LeaseTimes(renew=0.05))
        running = asyncio.create_task(lease.run())
        await until(lambda: renewed() != "")
        first = renewed()
        await until(lambda: renewed() != first)
        await cluster.remove(LEASES, "ostiary-gateway-gw")
        await until(lambda: renewed() != "")
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    assert renewed() == ""


async def test_the_last_state_outlives_the_api_server(cluster: Stage) -> None:
    """While it is away everything stays in force; what changed meanwhile is taken up when it is back."""
    await cluster.put(ROUTES, "qwen", route(1, v1=10_000))
    await cluster.put(POLICIES, "default", POLICY)
    await cluster.pods("v1", "10.0.0.1")
    async with cluster.sources(route="qwen", policy="default") as sources:
        assert sources.route
        assert sources.policy
        await cluster.cluster.stop()
        await asyncio.sleep(0.5)
        assert addresses(sources) == {"v1": ["10.0.0.1:8546"]}
        assert sources.policy.policy().label == "default@1"
        cluster.cluster._open()
        await cluster.cluster.start()
        await cluster.put(ROUTES, "qwen", route(2, v1=10_000))
        await cluster.put(POLICIES, "default", POLICY | {"version": "2"})
        await until(lambda: cluster.acked() == {"qwen": 2})
        await until(lambda: bool(sources.policy and sources.policy.policy().label == "default@2"))


BAD_DAY = {
    "break_watch": 0.1, "drop_event": 0.05, "duplicate_event": 0.2, "throttle": 0.02, "error": 0.05,
    "gone": 0.3, "conflict": 0.05, "lost_answer": 0.05, "retry_after": 0,
}  # fmt: skip


async def test_a_bad_day_is_survived(cluster: Stage) -> None:
    """Watches that break, repeat and forget, refusals and lost answers: no ack runs ahead of what is
    applied, none goes back, and the last epoch arrives.
    """
    await cluster.put(ROUTES, "qwen", route(1, v1=10_000))
    await cluster.pods("v1", "10.0.0.1")
    await cluster.pods("v2", "10.0.1.1")
    async with cluster.sources(route="qwen") as sources:
        assert sources.route
        await until(lambda: cluster.acked() == {"qwen": 1})
        cluster.cluster.faults.set(**BAD_DAY)
        acked = 1
        for epoch in range(2, 60):
            await cluster.put(ROUTES, "qwen", route(epoch, v1=10_000 - epoch, v2=epoch))
            await cluster.pods("v1", f"10.0.0.{epoch}")
            await asyncio.sleep(0.02)
            now = cluster.acked().get("qwen", 0)
            assert acked <= now <= sources.route.route().epoch
            acked = now
        cluster.cluster.faults.set(**dict.fromkeys(BAD_DAY, 0))
        await until(lambda: cluster.acked() == {"qwen": 59})
        await until(lambda: addresses(sources)["v1"] == ["10.0.0.59:8546"])
        assert sum(cluster.cluster.faults.counts.values()) >= 5


async def test_a_bad_policy_leaves_the_last_good_in_force(cluster: Stage) -> None:
    """What no schema knows, such as which rule packs there are, the object's status says."""
    await cluster.put(POLICIES, "default", POLICY)
    async with cluster.sources(policy="default") as sources:
        assert sources.policy
        first = sources.policy.policy()
        assert first is sources.policy.policy()
        await cluster.put(POLICIES, "default", POLICY | {"version": "2", "rulePacks": ["nonsense"]})
        await until(lambda: cluster.accepted(POLICIES, "default")[0] == "False")
        assert "nonsense" in cluster.accepted(POLICIES, "default")[1]
        assert sources.policy.policy() is first
        await cluster.put(POLICIES, "default", POLICY | {"version": "3"})
        await until(lambda: bool(sources.policy and sources.policy.policy().label == "default@3"))
        await until(lambda: cluster.accepted(POLICIES, "default") == ("True", "", True))
        await cluster.remove(POLICIES, "default")
        await asyncio.sleep(0.2)
        assert sources.policy.policy().label == "default@3"


async def test_registries_are_those_of_the_namespace(cluster: Stage) -> None:
    """They come and go with their objects; the marks' bytes are in them."""
    await cluster.put(REGISTRIES, "house", registry("zorvane"))
    async with cluster.sources(brands=True) as sources:
        assert sources.brands
        source = sources.brands
        assert list(source.brands().by_name) == ["house"]
        (gallery,) = source.brands().put_gallery().marks[:1]
        await cluster.put(REGISTRIES, "guests", registry("acmoria", shade=1))
        await until(lambda: list(source.brands().by_name) == ["guests", "house"])
        await cluster.remove(REGISTRIES, "house")
        await until(lambda: list(source.brands().by_name) == ["guests"])
        assert gallery.ByteSize()


async def test_a_bad_registry_leaves_its_last_good_version(cluster: Stage) -> None:
    """A mark that is no PNG, a brand that another registry has: the object says so, and stays as it was."""
    await cluster.put(REGISTRIES, "house", registry("zorvane"))
    await cluster.put(REGISTRIES, "guests", registry("acmoria", shade=1))
    async with cluster.sources(brands=True) as sources:
        assert sources.brands
        source = sources.brands
        before = source.brands()
        bad = registry("zorvane", version="2")
        bad["brands"][0]["marks"][0]["image"] = _base64(b"no picture")
        await cluster.put(REGISTRIES, "house", bad)
        await until(lambda: cluster.accepted(REGISTRIES, "house")[0] == "False")
        assert "brands[0].marks[0].image" in cluster.accepted(REGISTRIES, "house")[1]
        await cluster.put(REGISTRIES, "house", registry("acmoria", shade=5, version="3"))
        await until(lambda: "acmoria" in cluster.accepted(REGISTRIES, "house")[1])
        assert source.brands() is before
        await cluster.put(REGISTRIES, "house", registry("zorvane", "vellitor", version="4", shade=8))
        await until(lambda: "vellitor" in source.brands().by_id)
        await until(lambda: cluster.accepted(REGISTRIES, "house") == ("True", "", True))


async def test_changes_are_made_where_the_objects_are(cluster: Stage) -> None:
    """Administrators who would put them through the gateway are told so; trying works."""
    await cluster.put(POLICIES, "default", POLICY)
    async with cluster.sources(policy="default", brands=True) as sources:
        assert sources.policy
        assert sources.brands
        message = ModerationPolicy()
        message.CopyFrom(sources.policy.policy().message)
        message.version = "9"
        assert sources.policy.tried(message).label == "default@9"
        for put in (
            lambda: sources.policy and sources.policy.put(message),
            lambda: sources.brands and sources.brands.put(BrandRegistry(name="house")),
        ):
            with pytest.raises(OstiaryError, match="kubectl apply") as caught:
                put()
            assert caught.value.reason is Reason.FAILED_PRECONDITION


MISSING = {
    "no objects": (
        {"route": "qwen", "policy": "default"}, None,
        "there is no TrafficRoute qwen; there is no ModerationPolicy default",
    ),
    "a bad route": (
        {"route": "qwen"},
        {"versions": [{"name": "v1", "weight": 10_000, "endpoints": [{"address": "x"}]}]},
        "TrafficRoute qwen: versions[0].endpoints[0].address",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("wanted", "written", "words"), MISSING.values(), ids=MISSING)
async def test_a_start_says_what_is_missing(
    cluster: Stage, wanted: Json, written: Json | None, words: str
) -> None:
    """After it has waited for it."""
    if written:
        await cluster.put(ROUTES, "qwen", written)
    with pytest.raises(ValueError, match=r"^kubernetes: ") as caught:
        async with cluster.sources(**wanted, wait_seconds=0.5):
            raise AssertionError("it started")
    assert words in str(caught.value)


async def test_a_start_waits_for_what_comes(cluster: Stage) -> None:
    """Whichever of them was applied first."""

    async def later() -> None:
        await asyncio.sleep(0.3)
        await cluster.put(ROUTES, "qwen", route(4, v1=10_000))

    applying = asyncio.create_task(later())
    async with cluster.sources(route="qwen") as sources:
        assert sources.route
        assert sources.route.route().epoch == 4
    await applying


async def test_a_gateway_without_rights_is_told_which(cluster: Stage) -> None:
    """The API server's own words, and what to give."""
    token = cluster.cluster.token(Caller("system:serviceaccount:default:gateway"))
    path = cluster.cluster.settings.folder / "weak"
    path.write_text(cluster.cluster.kubeconfig(token), encoding="utf-8")
    with pytest.raises(ValueError, match="forbidden") as caught:
        async with cluster.sources(route="qwen", kubeconfig=path, wait_seconds=1.0):
            raise AssertionError("it started")
    assert "give the gateway's service account list and watch on trafficroutes" in str(caught.value)


async def test_missing_definitions_are_named(tmp_path: Path) -> None:
    """A cluster without the kinds."""
    async with Cluster(Settings(tmp_path, controllers=False)) as bare:
        with pytest.raises(ValueError, match="apply the definitions of manifests/crds"):
            async with Stage(bare).sources(policy="default", wait_seconds=1.0):
                raise AssertionError("it started")


async def test_what_one_gateway_said_another_does_not_repeat(tmp_path: Path) -> None:
    """Two gateways write an object's status once for each version of it, not against one another for ever."""
    async with stage(tmp_path) as cluster:
        await cluster.put(ROUTES, "qwen", route(1, v1=10_000))
        async with cluster.sources(route="qwen"), cluster.sources(route="qwen", name="other"):
            await until(lambda: cluster.acked() == cluster.acked("other") == {"qwen": 1})
            await until(lambda: cluster.accepted(ROUTES, "qwen") == ("True", "", True))
            await asyncio.sleep(0.3)
            first = cluster.find(ROUTES, "qwen")
            await asyncio.sleep(0.5)
            assert cluster.find(ROUTES, "qwen") == first
