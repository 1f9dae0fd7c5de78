"""What is known of a model's versions, and that knowing it again costs nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from ostiary_operator.cluster.kinds import MODEL_VERSIONS, RESOURCE_QUOTAS
from ostiary_operator.cluster.mirror import Mirror
from ostiary_operator.cluster.versions import described, versions
from ostiary_operator.resources.gates import Gates, proof_key
from ostiary_operator.rollout.snapshot import Proof

Json = dict[str, Any]
GATES = Gates.model_validate(
    {"goldenSet": {"folder": "pvc://golden", "bounds": [{"figure": "category/top1", "atLeast": 0.7}]}}
)


def version(name: str, number: int = 1, digest: int = 0, **status: Any) -> Json:
    """A ModelVersion as an API server has it, at a resourceVersion."""
    spec = {
        "model": "qwen", "version": name, "image": "pod:1", "checksPerSecond": 10,
        "artifact": {"uri": "file:///bundle", "digest": f"sha256:{digest:064x}"},
    }  # fmt: skip
    metadata = {"name": name, "namespace": "shop", "uid": f"uid-{name}", "resourceVersion": f"{number}"}
    return {"metadata": metadata, "spec": spec, "status": status}


def proof(digest: int, passed: bool = True) -> Json:
    """What a gate has said of a bundle."""
    assert GATES.golden_set is not None
    key = proof_key(f"sha256:{digest:064x}", "pod:1", "goldenSet", GATES.golden_set)
    at = "2026-01-01T00:00:00Z"
    return {"gate": "goldenSet", "key": key, "passed": passed, "at": at, "figures": "0.9"}


def test_an_object_is_read_once_for_as_long_as_it_is_the_same() -> None:
    """Whoever asks, and however often; a newer one is read anew, and one that is gone is none."""
    mirror, read = Mirror(), []

    def by(obj: Json) -> str:
        read.append(obj["metadata"]["resourceVersion"])
        return read[-1]

    mirror.take(MODEL_VERSIONS, version("v1"))
    assert [mirror.read(MODEL_VERSIONS, "shop", "v1", by) for _ in range(3)] == ["1", "1", "1"]
    mirror.take(MODEL_VERSIONS, version("v1", 2))
    assert [mirror.read(MODEL_VERSIONS, "shop", "v1", by) for _ in range(3)] == ["2", "2", "2"]
    mirror.take(MODEL_VERSIONS, version("v1", 1))
    assert mirror.read(MODEL_VERSIONS, "shop", "v1", by) == "2"
    assert read == ["1", "2"]
    mirror.remove(MODEL_VERSIONS, version("v1", 3))
    assert mirror.read(MODEL_VERSIONS, "shop", "v1", by) is None
    mirror.take(
        MODEL_VERSIONS, version("v1", 4) | {"metadata": version("v1", 4)["metadata"] | {"uid": "new"}}
    )
    assert mirror.read(MODEL_VERSIONS, "shop", "v1", by) == "4"


def test_gates_are_looked_at_for_versions_that_are_on_their_way() -> None:
    """Not for those that have been; and nothing is read again for the next look."""
    mirror = Mirror()
    for number in range(30):
        mirror.take(MODEL_VERSIONS, version(f"v{number}", digest=number, verifications=[proof(number)]))
    quota = {"metadata": {"name": "q", "namespace": "shop", "uid": "q", "resourceVersion": "1"}}
    mirror.take(RESOURCE_QUOTAS, {**quota, "spec": {"hard": {"pods": "7"}}})
    first = mirror.read(MODEL_VERSIONS, "shop", "v3", described)
    found = versions(mirror, "shop", "qwen", GATES, ("v7", None, "nowhere"))
    assert len(found) == 30
    assert {name for name, one in found.items() if one.proofs or one.most_pods is not None} == {"v7"}
    assert (found["v7"].most_pods, found["v7"].proofs) == (7, {"goldenSet": Proof(True, "0.9")})
    assert mirror.read(MODEL_VERSIONS, "shop", "v3", described) is first
    assert not versions(mirror, "shop", "qwen", Gates(), ("v7",))["v7"].proofs


PROVED: Mapping[str, tuple[list[Json], list[Json], Proof | None]] = {
    # What v1 says, what v2 says, which has the same bundle, and what is known of v1.
    "by itself": ([proof(0)], [], Proof(True, "0.9")),
    "under another name": ([], [proof(0)], Proof(True, "0.9")),
    "failed by itself": ([proof(0, passed=False)], [], Proof(False, "0.9")),
    "failed under another name": ([], [proof(0, passed=False)], None),
    "failed, and passed under another name": ([proof(0, passed=False)], [proof(0)], Proof(True, "0.9")),
    "of another bundle": ([proof(1)], [], None),
}


@pytest.mark.parametrize(("own", "other", "known"), PROVED.values(), ids=PROVED)
def test_what_is_proved_of_a_version(own: list[Json], other: list[Json], known: Proof | None) -> None:
    """By its bundle, under whatever name; what failed counts against the version alone."""
    mirror = Mirror()
    mirror.take(MODEL_VERSIONS, version("v1", verifications=own))
    mirror.take(MODEL_VERSIONS, version("v2", verifications=other))
    found = versions(mirror, "shop", "qwen", GATES, ("v1",))
    assert found["v1"].proofs.get("goldenSet") == known


def test_a_version_that_makes_no_sense_is_none() -> None:
    """The others are known all the same."""
    mirror = Mirror()
    senseless = version("v1") | {"spec": {"model": "qwen"}}
    mirror.take(MODEL_VERSIONS, senseless)
    mirror.take(MODEL_VERSIONS, version("v2"))
    assert set(versions(mirror, "shop", "qwen", GATES, ("v1", "v2"))) == {"v2"}
