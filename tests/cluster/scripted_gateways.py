"""Two gateways as a cluster sees them: Leases that acknowledge each route, over plain HTTP."""

import json
from datetime import UTC, datetime
from typing import Any

from cluster.api_client import Api

Json = dict[str, Any]
GATEWAYS = ("gw-1", "gw-2")


class ScriptedGateways:
    """`acked` has the epoch of each route that they say they have applied."""

    def __init__(self, api: Api, namespace: str) -> None:
        self._api = api
        self._routes = f"/apis/ostiary.dev/v1alpha1/namespaces/{namespace}/trafficroutes"
        self._leases = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
        self.acked: dict[str, int] = {}

    def renew(self) -> None:
        """Says what they have applied, and then applies what is there: an answer comes a moment later."""
        for name in GATEWAYS:
            body = {
                "apiVersion": "coordination.k8s.io/v1",
                "kind": "Lease",
                "metadata": {
                    "name": f"ostiary-gateway-{name}",
                    "labels": {"ostiary.dev/component": "gateway"},
                    "annotations": {"ostiary.dev/acked-epochs": json.dumps(self.acked)},
                },
                "spec": {
                    "renewTime": datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
                },
            }
            self._api.apply(f"{self._leases}/ostiary-gateway-{name}", body, "gateway", force="true")
        for route in self._api.get(self._routes).body["items"]:
            self.acked[route["metadata"]["name"]] = int(route["spec"].get("epoch", 0))
