"""The keeper's decisions carried out over plain HTTP: enough for commands to have somebody who answers."""

import json
import threading
import time
from datetime import datetime
from typing import Any

from cluster.api_client import Api
from cluster.scripted_gateways import GATEWAYS, ScriptedGateways
from ostiary_operator.resources.asked import asked
from ostiary_operator.resources.model_deployment import ModelDeploymentSpec, ModelDeploymentStatus
from ostiary_operator.resources.model_override import ModelOverrideSpec
from ostiary_operator.resources.model_version import ModelVersionSpec
from ostiary_operator.rollout.actions import Scale, WriteRoute
from ostiary_operator.rollout.reconcile import reconcile
from ostiary_operator.rollout.snapshot import Gateway, Override, Route, Snapshot, Version

Json = dict[str, Any]


class ScriptedKeeper:
    """Looks after one namespace in a thread, while it is not `idle`."""

    def __init__(self, api: Api, namespace: str) -> None:
        self._api = api
        self._ostiary = f"/apis/ostiary.dev/v1alpha1/namespaces/{namespace}"
        self._deployments = f"/apis/apps/v1/namespaces/{namespace}/deployments"
        self._gateways = ScriptedGateways(api, namespace)
        self._stop = threading.Event()
        self.idle = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._thread.join(20)
        self._api.close()

    def _run(self) -> None:
        while not self._stop.wait(0.05):
            self._gateways.renew()
            if not self.idle:
                for one in self._items(f"{self._ostiary}/modeldeployments"):
                    self._look(one)

    def _items(self, path: str) -> list[Json]:
        found: list[Json] = self._api.get(path).body["items"]
        return found

    def _look(self, written: Json) -> None:
        name, model = written["metadata"]["name"], written["spec"]["model"]
        plan = reconcile(self._snapshot(written))
        for action in plan.actions:
            if isinstance(action, Scale):
                self._scale(model, action)
            elif isinstance(action, WriteRoute):
                versions = [{"name": key, "weight": value} for key, value in action.weights.items()]
                body = {
                    "apiVersion": "ostiary.dev/v1alpha1", "kind": "TrafficRoute",
                    "metadata": {"name": model}, "spec": {"versions": versions, "epoch": action.epoch},
                }  # fmt: skip
                answer = self._api.apply(
                    f"{self._ostiary}/trafficroutes/{model}", body, "keeper", force="true"
                )
                assert answer.code < 300, answer.data
        # In a merge patch null takes a field away, but not within a list.
        status = json.loads(plan.status.model_dump_json(by_alias=True))
        status |= json.loads(plan.status.model_dump_json(by_alias=True, exclude_none=True))
        answer = self._api.patch(f"{self._ostiary}/modeldeployments/{name}/status", {"status": status})
        assert answer.code == 200, answer.data

    def _scale(self, model: str, action: Scale) -> None:
        labels = {"ostiary.dev/model": model, "ostiary.dev/version": action.version}
        body = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": action.version, "labels": labels},
            "spec": {
                "replicas": action.replicas,
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {"containers": [{"name": "pod", "image": "pod:1"}]},
                },
            },
        }
        self._api.apply(f"{self._deployments}/{action.version}", body, "keeper", force="true")

    def _snapshot(self, written: Json) -> Snapshot:
        metadata, spec = written["metadata"], ModelDeploymentSpec.model_validate(written["spec"])
        running = {one["metadata"]["name"]: one for one in self._items(self._deployments)}
        route = self._api.get(f"{self._ostiary}/trafficroutes/{spec.model}")
        routed = route.body["spec"] if route.code == 200 else {}
        acked = self._gateways.acked.get(spec.model, 0)
        versions = {}
        for one in self._items(f"{self._ostiary}/modelversions"):
            key = one["metadata"]["name"]
            deployment = running.get(key, {"spec": {"replicas": 0}})
            versions[key] = Version(
                ModelVersionSpec.model_validate(one["spec"]).checks_per_second,
                2.0,
                deployment["spec"]["replicas"],
                (deployment.get("status") or {}).get("readyReplicas", 0),
            )
        return Snapshot(
            now=time.time(),
            name=metadata["name"],
            generation=metadata["generation"],
            spec=spec,
            status=ModelDeploymentStatus.model_validate(written.get("status") or {}),
            versions=versions,
            route=Route(
                int(routed.get("epoch", 0)),
                {one["name"]: one["weight"] for one in routed.get("versions", ())},
            ),
            gateways={name: Gateway(acked, time.time()) for name in GATEWAYS},
            overrides=[
                Override(
                    one["metadata"]["name"],
                    datetime.fromisoformat(one["metadata"]["creationTimestamp"]).timestamp(),
                    ModelOverrideSpec.model_validate(one["spec"]),
                    one["metadata"]["uid"],
                )
                for one in self._items(f"{self._ostiary}/modeloverrides")
                if one["spec"]["target"] == metadata["name"]
            ],
            request=asked(metadata.get("annotations") or {}),
            uid=metadata["uid"],
        )
