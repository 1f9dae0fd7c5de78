"""What gateways take from a cluster, with the rights of their manifest and no others."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cluster.api_client import Api
from cluster.rights import BASE, granted
from gateway.kubernetes.stage import POLICY, route
from ostiary_gateway.brand_source import no_brands
from ostiary_gateway.kubernetes.lease import ACKED
from ostiary_gateway.kubernetes.sources import kubernetes_sources
from ostiary_gateway.list_source import no_lists
from ostiary_gateway.rules.pack import shipped
from ostiary_gateway.settings import KubernetesSettings

Json = dict[str, Any]
_PATIENCE = 20.0
_BRANDS = {"version": "1", "brands": [{"id": "acme", "words": [{"referenceId": "w", "text": "ACME"}]}]}


class Seat:
    """Where a gateway's objects are, as whoever writes them sees it."""

    def __init__(self, api: Api, namespace: str) -> None:
        self._api = api
        self._namespace = namespace
        self._ostiary = f"/apis/ostiary.dev/v1alpha1/namespaces/{namespace}"
        self._slices = f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"
        self._lease = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/ostiary-gateway-gw"

    def put(self, kind: str, plural: str, name: str, spec: Json) -> None:
        self._api.put_ostiary(self._namespace, kind, plural, name, spec)

    def pod(self, address: str) -> None:
        """The only one of version v1."""
        labels = {"ostiary.dev/model": "qwen", "ostiary.dev/version": "v1"}
        body = {
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": "qwen-v1", "labels": labels | {"kubernetes.io/service-name": "qwen-v1"}},
            "ports": [{"name": "grpc", "port": 8543, "protocol": "TCP"}],
            "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
        }  # fmt: skip
        answer = self._api.apply(f"{self._slices}/qwen-v1", body, force="true")
        assert answer.code < 300, answer.data

    def accepted(self, plural: str, name: str) -> tuple[str, str]:
        """What became of an object, and in what words."""
        found = self._api.get(f"{self._ostiary}/{plural}/{name}").body
        for one in (found.get("status") or {}).get("conditions") or ():
            if one["observedGeneration"] == found["metadata"]["generation"]:
                return one["status"], one["message"]
        return "", ""

    def acked(self) -> Json | None:
        """Epochs that the gateway's Lease acknowledges; None where there is no Lease."""
        answer = self._api.get(self._lease)
        if answer.code == 404:
            return None
        found: Json = json.loads(answer.body["metadata"]["annotations"][ACKED])
        return found


async def until(holds: Callable[[], Any]) -> None:
    """Asks the server until it is so, in a thread: sources are followed meanwhile."""
    async with asyncio.timeout(_PATIENCE):
        while not await asyncio.to_thread(holds):  # noqa: ASYNC110  # another server has no event to wait for
            await asyncio.sleep(0.1)


@pytest.fixture
def seat(api: Api, namespace: str, definitions: dict[str, str]) -> Seat:
    """An empty namespace where the kinds are known."""
    assert definitions
    return Seat(api, namespace)


@pytest.mark.timeout(120)
async def test_objects_are_followed_and_answered(
    seat: Seat, api: Api, namespace: str, tmp_path: Path
) -> None:
    """Each is taken up, told so and acknowledged; what is wrong is told; the Lease goes with the gateway."""
    config = tmp_path / "kubeconfig"
    config.write_text(granted(api, BASE / "gateway/rbac.yaml", namespace, "ostiary-gateway"))
    seat.put("TrafficRoute", "trafficroutes", "qwen", route(1, v1=10_000))
    seat.put("ModerationPolicy", "moderationpolicies", "shop", POLICY)
    seat.put("BrandRegistry", "brandregistries", "acme", _BRANDS)
    seat.pod("10.0.0.1")
    settings = KubernetesSettings(
        route="qwen", policy="shop", brands=True, name="gw", namespace=namespace, kubeconfig=config
    )
    async with kubernetes_sources(settings, shipped(), no_lists, no_brands) as sources:
        assert sources.route

        def pods() -> list[str]:
            assert sources.route
            return [one.address for one in sources.route.route().versions[0].endpoints]

        await until(lambda: pods() == ["10.0.0.1:8543"])
        await until(lambda: seat.acked() == {"qwen": 1})
        for plural, name in (
            ("trafficroutes", "qwen"), ("moderationpolicies", "shop"), ("brandregistries", "acme"),
        ):  # fmt: skip
            await until(lambda plural=plural, name=name: seat.accepted(plural, name)[0] == "True")
        seat.pod("10.0.0.2")
        await until(lambda: pods() == ["10.0.0.2:8543"])
        seat.put("TrafficRoute", "trafficroutes", "qwen", route(2, v1=10_000))
        await until(lambda: seat.acked() == {"qwen": 2})
        unfit = {"version": "2", "policies": POLICY["policies"] * 2}
        seat.put("ModerationPolicy", "moderationpolicies", "shop", unfit)
        await until(lambda: seat.accepted("moderationpolicies", "shop")[0] == "False")
        assert "prohibited_ads" in seat.accepted("moderationpolicies", "shop")[1]
    assert seat.acked() is None
