"""What the gateway makes of what was seen, under the policy and the rule packs that it ships with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any

from google.protobuf import json_format

from ostiary.v1.decision_pb2 import Action, Verdict
from ostiary.v1.image_pb2 import CanonicalImage
from ostiary.v1.listing_pb2 import Listing
from ostiary.v1.observation_pb2 import BundleInfo, Observations
from ostiary_gateway.policy import in_force
from ostiary_gateway.policy.decide import Subject, decide
from ostiary_gateway.policy.in_force import PolicyInForce
from ostiary_gateway.rules import pack

POLICY = "prohibited_ads"
_AT = datetime(2026, 11, 25, tzinfo=UTC)
_ASKING = {Action.ACTION_REVIEW, Action.ACTION_BLOCK}


@dataclass(frozen=True)
class Flag:
    """A finding that asks for review or blocks. `read`: the text or payload that it stands on."""

    label: str
    action: str
    rule: str
    read: str


@dataclass(frozen=True)
class Judged:
    """The verdict on one image, and what was flagged in it."""

    verdict: str
    flags: tuple[Flag, ...]

    @property
    def labels(self) -> frozenset[str]:
        """Labels of what was flagged."""
        return frozenset(flag.label for flag in self.flags)


def shipped_policy() -> PolicyInForce:
    """The policy that a gateway starts with, as far as it is of advertising, with the rule packs it names.

    Policies that no detector here speaks for are optional in it, and say nothing.
    """
    written = files("ostiary_gateway").joinpath("defaults/policy.yaml").read_text(encoding="utf-8")
    return in_force.load(written, pack.shipped())


def judged(record: Mapping[str, Any], policy: PolicyInForce) -> Judged:
    """The verdict on what a record says was seen."""
    observed = observations(record)
    decision = decide(Subject(Listing(), 1, observed, _AT), policy)
    flags = tuple(
        Flag(
            label=finding.label,
            action=Action.Name(finding.action)[7:],
            rule=finding.evidence.rule.rule,
            read=finding.evidence.barcode.text or finding.evidence.rule.matched_text,
        )
        for finding in decision.findings
        if finding.policy == POLICY and finding.action in _ASKING
    )
    return Judged(Verdict.Name(decision.verdict)[8:], flags)


def observations(record: Mapping[str, Any]) -> Observations:
    """What a pod would have sent: one image, looked at by all that the policy needs."""
    observed = json_format.ParseDict(record["seen"], Observations())
    width, height = record["size"]
    image = CanonicalImage(raw_sha256=bytes(32), sha256=bytes(32), width=width, height=height)
    observed.images.append(image)
    observed.bundle.CopyFrom(BundleInfo(name="bench"))
    observed.capabilities.append(POLICY)
    return observed
