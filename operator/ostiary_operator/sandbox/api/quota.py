"""ResourceQuotas at the door: what a new object would take against what its namespace may use."""

from typing import Any

from ostiary_operator.sandbox.api.resources import Resource
from ostiary_operator.sandbox.api.status import forbidden
from ostiary_operator.sandbox.api.store import Store
from ostiary_operator.sandbox.api.values import at, plain_quantity, quantity

Json = dict[str, Any]
Amounts = dict[str, float]

_COUNTED = ("pods", "services", "configmaps", "secrets")


def pod_amounts(pod: Json) -> Amounts:
    """What a pod takes of each quota: requests and limits of all its containers."""
    amounts: Amounts = {"pods": 1.0, "count/pods": 1.0}
    for container in at(pod, "spec", "containers", default=[]):
        for word, resources in (container.get("resources") or {}).items():
            if word not in ("requests", "limits"):
                continue
            for name, value in resources.items():
                amounts[f"{word}.{name}"] = amounts.get(f"{word}.{name}", 0.0) + quantity(value)
                if word == "requests" and name in ("cpu", "memory"):
                    amounts[name] = amounts.get(name, 0.0) + quantity(value)
    return amounts


def _live(pod: Json) -> bool:
    return at(pod, "status", "phase") not in ("Succeeded", "Failed")


class Quotas:
    """Admission by quota."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def used(self, namespace: str, names: list[str]) -> Amounts:
        """What a namespace uses of what quotas name."""
        used = dict.fromkeys(names, 0.0)
        for pod in filter(_live, self._store.objects("pods.", namespace)):
            for name, amount in pod_amounts(pod).items():
                if name in used:
                    used[name] += amount
        for plural in _COUNTED[1:]:
            count = len(self._store.items(f"{plural}.", namespace))
            for name in (plural, f"count/{plural}"):
                if name in used:
                    used[name] = float(count)
        for name in names:
            if name.startswith("count/") and "." in name:
                used[name] = float(len(self._store.items(name.removeprefix("count/"), namespace)))
        return used

    def admit(self, resource: Resource, obj: Json) -> None:
        """Raises 403 where a quota of the namespace would be exceeded."""
        if not resource.namespaced:
            return
        namespace = obj["metadata"]["namespace"]
        quotas = self._store.objects("resourcequotas.", namespace)
        if not quotas:
            return
        if resource.bucket == "pods.":
            wanted = pod_amounts(obj)
        else:
            suffix = f".{resource.group}" if resource.group else ""
            wanted = {resource.plural: 1.0, f"count/{resource.plural}{suffix}": 1.0}
        for quota in quotas:
            self._admit(resource, obj, quota, wanted)

    def _admit(self, resource: Resource, obj: Json, quota: Json, wanted: Amounts) -> None:
        name = quota["metadata"]["name"]
        hard = at(quota, "spec", "hard", default={})
        if resource.bucket == "pods.":
            must = [one for one in hard if one.startswith(("requests.", "limits.")) and "/" not in one]
            must += [one for one in hard if one in ("cpu", "memory")]
            if missing := sorted(one for one in must if one not in wanted):
                why = f"failed quota: {name}: must specify {','.join(missing)}"
                raise forbidden(resource.group, resource.plural, _called(obj), why)
        concerned = sorted(one for one in hard if one in wanted)
        used = self.used(obj["metadata"]["namespace"], concerned)
        over = [one for one in concerned if used[one] + wanted[one] > quantity(hard[one])]
        if over:
            why = (
                f"exceeded quota: {name}, requested: {_said(over, wanted)}, used: {_said(over, used)}, "
                f"limited: {','.join(f'{one}={hard[one]}' for one in over)}"
            )
            raise forbidden(resource.group, resource.plural, _called(obj), why)


def _called(obj: Json) -> str:
    """The name that was asked for: not the generated one, so that the same refusal has the same words."""
    metadata = obj["metadata"]
    return str(metadata.get("generateName") or metadata["name"])


def _said(names: list[str], amounts: Amounts) -> str:
    return ",".join(f"{name}={plain_quantity(amounts[name])}" for name in names)
