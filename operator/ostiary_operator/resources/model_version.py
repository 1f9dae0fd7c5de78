"""ModelVersion: a bundle that can be rolled. It never changes; another bundle is another version."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ostiary_operator.resources.conditions import Condition
from ostiary_operator.resources.gates import JobGateName
from ostiary_operator.resources.part import Digest, Name, Part, Seconds, Time


class Artifact(Part):
    """Where the bundle lies, and the digest that pods must measure of what they loaded.

    `uri`: `oci://IMAGE[:TAG|@DIGEST]`, whose own digest is another; `pvc://CLAIM`; `file://FOLDER`; or what
    an initContainer fetches.
    """

    uri: str = Field(min_length=1, max_length=2048)
    digest: Digest


class GpuRequest(Part):
    """What each pod asks the scheduler for."""

    resource: str = "nvidia.com/gpu"
    count: Annotated[int, Field(ge=0, le=64)] = 1


class ModelVersionSpec(Part):
    """`checks_per_second`: what one pod can carry within its deadline, by `ostiary model profile`.

    `labels_hash`: of the policies and labels that the bundle judges; versions that differ in it cannot be
    compared label by label.
    """

    model: Name
    version: str = Field(min_length=1, max_length=63)
    artifact: Artifact
    image: str = Field(min_length=1)
    gpu: GpuRequest = GpuRequest()
    checks_per_second: float = Field(gt=0.0)
    labels_hash: str = ""


class Verification(Part):
    """What a gate's Job said of the version. `key`: of bundle, image and gate; the same is not tried again
    once it was passed. `figures`: in words.
    """

    gate: JobGateName
    key: str = Field(max_length=64)
    passed: bool
    at: Time
    figures: str = Field(default="", max_length=1024)


class ModelVersionStatus(Part):
    """`load_seconds_*`: measured, from a pod being scheduled to its being ready. `verifications`: of each
    gate the newest.
    """

    load_seconds_p50: Seconds | None = None
    load_seconds_p95: Seconds | None = None
    verifications: tuple[Verification, ...] = Field(default=(), max_length=20)
    conditions: tuple[Condition, ...] = ()
