"""A node on which nothing runs: it says of its pods what a kubelet says of pods that start and stop at once,
and of those that run to their end, that they have ended as the annotations of the sandbox say.

For a control plane without nodes. Where there is no scheduler it takes each pod itself.
"""

from datetime import UTC, datetime
from typing import Any

from cluster.api_client import Api
from ostiary_operator.sandbox.controllers.kubelet import EXIT, MESSAGE

Json = dict[str, Any]
NODE = "scripted"
_NODES = "/api/v1/nodes"
_RUNNING = {"startedAt": "2026-01-01T00:00:00Z"}


class ScriptedKubelet:
    """Looks after the pods of one namespace, as often as `look` is called."""

    def __init__(self, api: Api, namespace: str) -> None:
        self._api = api
        self._pods = f"/api/v1/namespaces/{namespace}/pods"
        self._addresses = 0
        room = {"cpu": "1000", "memory": "4Ti", "pods": "1000", "nvidia.com/gpu": "100"}
        answer = api.post(_NODES, {"metadata": {"name": NODE}})
        assert answer.code in (201, 409), answer.data
        api.patch(f"{_NODES}/{NODE}/status", {"status": {"capacity": room, "allocatable": room}})

    def look(self) -> None:
        """One round: the node is well, pods on it are ready, those that are told to go are gone."""
        self._beat()
        for pod in self._api.get(self._pods).body["items"]:
            name = pod["metadata"]["name"]
            if pod["metadata"].get("deletionTimestamp"):
                self._api.delete(f"{self._pods}/{name}", {"gracePeriodSeconds": 0})
            elif not pod["spec"].get("nodeName"):
                target = {"apiVersion": "v1", "kind": "Node", "name": NODE}
                self._api.post(f"{self._pods}/{name}/binding", {"metadata": {"name": name}, "target": target})
            elif (pod.get("status") or {}).get("phase") in (None, "Pending"):
                self._start(name, pod["spec"])
            elif pod["status"]["phase"] == "Running" and pod["spec"]["restartPolicy"] != "Always":
                self._end(pod)

    def _beat(self) -> None:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        ready = {
            "type": "Ready", "status": "True", "reason": "KubeletReady", "message": "",
            "lastHeartbeatTime": now, "lastTransitionTime": _RUNNING["startedAt"],
        }  # fmt: skip
        self._api.patch(f"{_NODES}/{NODE}/status", {"status": {"conditions": [ready]}})

    def _end(self, pod: Json) -> None:
        said, status = pod["metadata"].get("annotations") or {}, pod["status"]
        code, since = int(said.get(EXIT, "0")), datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        ended = {
            "exitCode": code, "reason": "Completed" if code == 0 else "Error", "startedAt": since,
            "finishedAt": since, "message": said.get(MESSAGE, ""),
        }  # fmt: skip
        unready = ("ContainersReady", "Ready")
        change = {
            "phase": "Failed" if code else "Succeeded",
            "conditions": [
                one | {"status": "False" if one["type"] in unready else "True"}
                for one in status["conditions"]
            ],
            "containerStatuses": [
                one | {"ready": False, "started": False, "state": {"terminated": ended}}
                for one in status["containerStatuses"]
            ],
        }
        path = f"{self._pods}/{pod['metadata']['name']}/status"
        answer = self._api.patch(path, {"status": change})
        assert answer.code in (200, 404, 409), answer.data

    def _start(self, name: str, spec: Json) -> None:
        self._addresses += 1
        address = f"10.1.{self._addresses >> 8}.{self._addresses & 255}"
        names = ("PodScheduled", "Initialized", "ContainersReady", "Ready")
        since = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        status = {
            "phase": "Running",
            "podIP": address,
            "podIPs": [{"ip": address}],
            "startTime": since,
            "conditions": [{"type": one, "status": "True", "lastTransitionTime": since} for one in names],
            "containerStatuses": [
                {
                    "name": one["name"], "image": one["image"], "imageID": one["image"], "ready": True,
                    "restartCount": 0, "started": True, "state": {"running": {"startedAt": since}},
                }
                for one in spec["containers"]
            ],
        }  # fmt: skip
        answer = self._api.patch(f"{self._pods}/{name}/status", {"status": status})
        assert answer.code in (200, 404, 409), answer.data
