"""What one look costs, without and with gates, as a model gets more versions. No cluster is needed."""

from __future__ import annotations

import time
from collections.abc import Mapping
from statistics import median
from typing import Any

from ostiary_operator.cluster import kinds
from ostiary_operator.cluster.mirror import Mirror
from ostiary_operator.cluster.seeing import Sightings, see
from ostiary_operator.rollout.reconcile import reconcile

Json = dict[str, Any]
GATES: Json = {
    "capacity": {"before": "Majority"},
    "goldenSet": {"folder": "pvc://golden", "bounds": [{"figure": "category/top1", "atLeast": 0.7}]},
    "replay": {"policy": "policy-2", "flipBudget": "0.5%", "gateway": "ostiary-gateway"},
}
_NOW = 1_800_000_000.0
_TIMES = 9


def milliseconds(deployments: int, versions: int, gates: Mapping[str, Any]) -> float:
    """Of one look at one ModelDeployment whose newest version is on its way: the median of some rounds at
    all of them. Between two rounds each ModelDeployment changes, as its status does.
    """
    mirror, sightings = Mirror(), Sightings()
    for index in range(deployments):
        _fill(mirror, f"m{index}", versions, gates)
    took = []
    for number in range(_TIMES):
        began = time.process_time()
        for index in range(deployments):
            found = mirror.get(kinds.MODEL_DEPLOYMENTS, "shop", f"m{index}")
            assert found is not None
            reconcile(see(mirror, sightings, found, _NOW).snapshot)
        took.append((time.process_time() - began) * 1000 / deployments)
        for index in range(deployments):
            found = mirror.get(kinds.MODEL_DEPLOYMENTS, "shop", f"m{index}")
            assert found is not None
            changed = {**found["metadata"], "resourceVersion": f"{1_000_000 + number}"}
            mirror.take(kinds.MODEL_DEPLOYMENTS, {**found, "metadata": changed})
    return round(median(took), 3)


def _fill(mirror: Mirror, model: str, versions: int, gates: Mapping[str, Any]) -> None:
    names = [f"{model}-{number}" for number in range(versions)]
    passed = [
        {"gate": gate, "key": "0" * 64, "passed": True, "at": "2026-01-01T00:00:00Z", "figures": "0.9"}
        for gate in ("goldenSet", "replay")
    ]
    for number, name in enumerate(names):
        artifact = {"uri": f"file:///bundles/{name}", "digest": f"sha256:{number:064x}"}
        spec = {
            "model": model, "version": name, "image": f"pod:{name}", "checksPerSecond": 10,
            "artifact": artifact,
        }  # fmt: skip
        _take(mirror, kinds.MODEL_VERSIONS, name, spec, {"verifications": passed})
    strategy = {"canary": {"steps": [{"setWeight": 1000}, {"pause": True}]}, "gates": dict(gates)}
    spec = {"model": model, "versionRef": {"name": names[-1]}, "strategy": strategy}
    status = {"stable": names[0], "candidate": names[-1], "attempt": 1, "since": "2026-01-01T00:00:00Z"}
    _take(mirror, kinds.MODEL_DEPLOYMENTS, model, spec, status)


def _take(mirror: Mirror, kind: kinds.Kind, name: str, spec: Json, status: Json) -> None:
    metadata = {"name": name, "namespace": "shop", "uid": f"uid-{name}", "resourceVersion": "1"}
    mirror.take(kind, {"metadata": metadata, "spec": spec, "status": status})


def costs(deployments: int) -> dict[str, float]:
    """Milliseconds of processor time a look, by how many versions there are, without and with gates."""
    return {
        f"look_{versions}_versions{'_gates' if gates else ''}_ms": milliseconds(deployments, versions, gates)
        for versions in (3, 30)
        for gates in ({}, GATES)
    }
