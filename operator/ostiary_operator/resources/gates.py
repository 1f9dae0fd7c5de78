"""Gates of a rollout: what has to be proved of a candidate before it gets traffic, or most of it."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Literal

from pydantic import Field, model_validator

from ostiary_operator.resources.part import Name, Part

Before = Literal["Traffic", "Majority"]
JobGateName = Literal["goldenSet", "replay"]
GateName = Literal["capacity", "goldenSet", "replay"]
Folder = Annotated[
    str,
    Field(
        pattern=r"^(pvc://[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?(/[A-Za-z0-9._-]+)*"
        r"|configmap://[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?"
        r"|oci://[A-Za-z0-9._:/-]+@sha256:[0-9a-f]{64})$",
        max_length=1024,
    ),
]
"""`pvc://CLAIM[/PATH]`, `configmap://NAME`, or `oci://IMAGE@sha256:…`, mounted as an image volume."""
Figure = Annotated[str, Field(pattern=r"^[a-z0-9_]+(/[^/=]+)+$", max_length=200)]


class Gate(Part):
    """`before`: Traffic, the candidate's first share of it; Majority, a share above half."""

    before: Before = "Traffic"


class CapacityGate(Gate):
    """What the candidate's pods carry, by its ModelVersion's `checksPerSecond`, is at least `headroom` times
    what comes to the gateways. Its pods: what its GPUAutoscaler, the namespace's quotas and `pods` allow.
    """

    headroom: Annotated[float, Field(ge=1.0, le=10.0)] = 1.0
    pods: Annotated[int, Field(ge=1, le=1000)] | None = None


class JobGate(Gate):
    """A Job of the candidate's image. `deadline_seconds`: after which it proves nothing."""

    deadline_seconds: Annotated[int, Field(ge=1, le=86_400)] = 3600


class Bound(Part):
    """A figure of `ostiary model eval`, and what it has to be: `category/top1`,
    `prohibited_ads/qr_code/auroc`.
    """

    figure: Figure
    at_least: Annotated[float, Field(ge=0.0, le=1.0)] | None = None
    at_most: Annotated[float, Field(ge=0.0, le=1.0)] | None = None

    @model_validator(mode="after")
    def _one(self) -> Bound:
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError("give exactly one of atLeast and atMost")
        return self


class GoldenSetGate(JobGate):
    """The candidate's bundle on labelled photographs (`labels.csv` and the files that it names in `folder`),
    with `ostiary model eval`. Another golden set has another name: what was passed by one is not tried again.
    """

    folder: Folder
    bounds: tuple[Bound, ...] = Field(min_length=1, max_length=50)


class ReplayGate(JobGate):
    """Checks on record, judged by the policy that goes with the candidate, with `ostiary policy replay`: at
    most `flip_budget` of the verdicts change, `0.5%` or a number.

    `policy`: ConfigMap with `policy.yaml`. The record is that of a gateway: `gateway`, a ConfigMap with
    `gateway.yaml`, and `credentials`, a Secret with variables for it; or `export`, a file in `folder`.
    `folder` is mounted at `/record`. `since`: `7d`, or a time. `image`: whose `ostiary` has the gateway;
    without it the candidate's.
    """

    policy: Name
    flip_budget: Annotated[str, Field(pattern=r"^([0-9]{1,2}(\.[0-9]+)?%|100%|[0-9]{1,9})$")]
    gateway: Name | None = None
    credentials: Name | None = None
    folder: Folder | None = None
    export: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$", max_length=255)] | None = (
        None
    )
    since: Annotated[str, Field(pattern=r"^[0-9A-Za-z:+.-]*$", max_length=40)] = ""
    image: Annotated[str, Field(min_length=1, max_length=1024)] | None = None

    @model_validator(mode="after")
    def _one_record(self) -> ReplayGate:
        if (self.gateway is None) == (self.export is None):
            raise ValueError("give exactly one of gateway and export: a record to replay")
        if self.export is not None and self.folder is None:
            raise ValueError("folder: export needs it; it says where the file lies")
        return self


class Gates(Part):
    """Each that is given has to be passed. `capacity` waits until it is; one that runs a Job takes the
    candidate back where that fails, and leaves it to people where that proves nothing.
    """

    capacity: CapacityGate | None = None
    golden_set: GoldenSetGate | None = None
    replay: ReplayGate | None = None

    @property
    def jobs(self) -> dict[JobGateName, GoldenSetGate | ReplayGate]:
        """Those that run a Job, by their names in the spec."""
        found: dict[JobGateName, GoldenSetGate | ReplayGate] = {}
        if self.golden_set is not None:
            found["goldenSet"] = self.golden_set
        if self.replay is not None:
            found["replay"] = self.replay
        return found


def proof_key(digest: str, image: str, name: JobGateName, gate: GoldenSetGate | ReplayGate) -> str:
    """What a proof is of: this bundle, in this image, by this gate. The same again needs no proof."""
    asked = gate.model_dump(mode="json", by_alias=True, exclude={"before", "deadline_seconds"})
    of = json.dumps([digest, image, name, asked], sort_keys=True)
    return hashlib.sha256(of.encode()).hexdigest()
