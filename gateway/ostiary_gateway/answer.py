"""Builds the answer from what was seen and decided. Pure."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from ostiary.v1.decision_pb2 import Receipt
from ostiary.v1.listing_pb2 import Wants
from ostiary.v1.moderation_pb2 import CheckRequest, CheckResponse
from ostiary.v1.observation_pb2 import Attribute, Observations, StageTiming
from ostiary_gateway.policy.decide import Decision
from ostiary_gateway.policy.in_force import ATTRIBUTES, PolicyInForce


def wanted(request: CheckRequest) -> Wants:
    """What the caller wants back; everything where the request does not say."""
    everything = Wants(flags=True, description=True, attributes=True)
    return request.wants if request.HasField("wants") else everything


def build(
    check_id: str,
    wants: Wants,
    decision: Decision,
    observations: Observations | None,
    receipt: Receipt,
    timings: Iterable[StageTiming],
) -> CheckResponse:
    """The answer, with a receipt that lacks the log's fields."""
    response = CheckResponse(
        check_id=check_id,
        verdict=decision.verdict,
        findings=decision.findings,
        policies=decision.policies,
        hold_reasons=decision.hold_reasons,
        receipt=receipt,
        timings=timings,
    )
    if observations is None:
        return response
    response.images.extend(sorted(observations.images, key=lambda image: image.image_index))
    if wants.description and observations.HasField("description"):
        response.description.CopyFrom(observations.description)
    if wants.attributes and observations.images:
        response.attributes.extend(_all_eight(observations.attributes))
    return response


def receipt(
    policy: PolicyInForce, observations: Observations | None, route_version: str, decided_at: datetime
) -> Receipt:
    """What proves the decision later, but for the log's fields; `decided_at` is an aware time."""
    at = Timestamp()
    at.FromDatetime(decided_at)
    made = Receipt(
        route_version=route_version, policy=policy.label, policy_sha256=policy.sha256, decided_at=at
    )
    if observations is not None and observations.HasField("bundle"):
        made.bundle.CopyFrom(observations.bundle)
    return made


def timing(stage: str, seconds: float) -> StageTiming:
    """One stage's wall-clock time."""
    duration = Duration()
    duration.FromTimedelta(timedelta(seconds=max(0.0, seconds)))
    return StageTiming(stage=stage, duration=duration)


def _all_eight(seen: Sequence[Attribute]) -> list[Attribute]:
    """One per name, in the documented order; `unknown` where the pod named none."""
    by_name = {attribute.name: attribute for attribute in seen}
    return [by_name.get(name) or Attribute(name=name, value="unknown") for name in ATTRIBUTES]
