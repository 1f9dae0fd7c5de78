"""EndpointSlices: which pods are behind a Service, and which of them are ready."""

from collections.abc import Iterable
from typing import Any

from ostiary_operator.sandbox.api.selectors import of_map
from ostiary_operator.sandbox.api.store import DELETED, Bucket, Event, Key
from ostiary_operator.sandbox.api.values import at, same
from ostiary_operator.sandbox.controllers.desk import (
    PODS,
    SERVICES,
    SLICES,
    Desk,
    is_over,
    is_ready,
    owner_key,
    owner_reference,
)

Json = dict[str, Any]

SERVICE_NAME = "kubernetes.io/service-name"
_MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
_MANAGER = "endpointslice-controller.k8s.io"
_MOST = 100
"""Endpoints in one slice."""


class Endpoints:
    """Keeps the slices of Services that select pods."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def concerned(self, bucket: Bucket, event: Event) -> Iterable[Key]:
        """The service itself, those that select a pod, and the one whose slice was touched."""
        if bucket == SERVICES and event.type != DELETED:
            return (event.key,)
        if bucket == SLICES:
            return owner_key(event.now.data, "Service")
        if bucket != PODS:
            return ()
        versions = [stored.data for stored in (event.now, event.before) if stored is not None]
        return [
            key
            for key, service in self._desk.store.items(SERVICES, event.key[0])
            if (selector := of_map(at(service.data, "spec", "selector"))) is not None
            and any(selector.matches(pod["metadata"].get("labels")) for pod in versions)
        ]

    async def reconcile(self, key: Key) -> float | None:
        """Writes the slices that are not what they shall be."""
        service = self._desk.get(SERVICES, key)
        selector = of_map(at(service, "spec", "selector")) if service else None
        if service is None or selector is None or service["metadata"].get("deletionTimestamp"):
            return None
        pods = [
            pod
            for pod in self._desk.store.objects(PODS, key[0])
            if selector.matches(pod["metadata"].get("labels"))
            and at(pod, "status", "podIP")
            and not is_over(pod)
        ]
        groups = self._by_ports(service, pods)
        wanted = [
            (ports, endpoints[start : start + _MOST])
            for ports, endpoints in groups
            for start in range(0, max(len(endpoints), 1), _MOST)
        ]
        slices = self._desk.owned(SLICES, service)
        for index, (ports, endpoints) in enumerate(wanted):
            if index < len(slices):
                await self._rewrite(slices[index], ports, endpoints)
            else:
                await self._make(service, ports, endpoints)
        for extra in slices[len(wanted) :]:
            await self._desk.delete(SLICES, extra)
        return None

    def _by_ports(self, service: Json, pods: list[Json]) -> list[tuple[list[Json], list[Json]]]:
        """Endpoints by the ports that the service's names come out as in their pods."""
        groups: list[tuple[list[Json], list[Json]]] = []
        for pod in pods:
            ports = [made for port in at(service, "spec", "ports", default=[]) if (made := _port(port, pod))]
            group = next((one for one in groups if same(one[0], ports)), None)
            if group is None:
                group = (ports, [])
                groups.append(group)
            group[1].append(self._endpoint(service, pod))
        return groups or [([], [])]

    def _endpoint(self, service: Json, pod: Json) -> Json:
        ready, going = is_ready(pod), bool(pod["metadata"].get("deletionTimestamp"))
        anyway = bool(at(service, "spec", "publishNotReadyAddresses"))
        return {
            "addresses": [pod["status"]["podIP"]],
            "conditions": {"ready": anyway or (ready and not going), "serving": ready, "terminating": going},
            "nodeName": at(pod, "spec", "nodeName", default=""),
            "targetRef": {
                "kind": "Pod",
                "namespace": pod["metadata"]["namespace"],
                "name": pod["metadata"]["name"],
                "uid": pod["metadata"]["uid"],
            },
        }

    async def _rewrite(self, old: Json, ports: list[Json], endpoints: list[Json]) -> None:
        wanted = {"ports": ports, "endpoints": endpoints}
        if not all(same(old.get(word) or [], value) for word, value in wanted.items()):
            await self._desk.change(SLICES, old, lambda live: live | wanted)

    async def _make(self, service: Json, ports: list[Json], endpoints: list[Json]) -> None:
        metadata = service["metadata"]
        labels = {**(metadata.get("labels") or {}), SERVICE_NAME: metadata["name"], _MANAGED_BY: _MANAGER}
        made = {
            "metadata": {
                "generateName": f"{metadata['name']}-",
                "labels": labels,
                "ownerReferences": [owner_reference(service)],
            },
            "addressType": "IPv4",
            "ports": ports,
            "endpoints": endpoints,
        }
        await self._desk.create(SLICES, metadata["namespace"], made)


def _port(port: Json, pod: Json) -> Json | None:
    target = port.get("targetPort") or port["port"]
    if isinstance(target, str):
        named = (
            one
            for container in at(pod, "spec", "containers", default=[])
            for one in container.get("ports") or ()
            if one.get("name") == target
        )
        found = next(named, None)
        if found is None:
            return None
        target = found["containerPort"]
    return {"name": port.get("name", ""), "protocol": port.get("protocol", "TCP"), "port": target}
