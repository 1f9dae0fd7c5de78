"""Reads what `ostiary policy explain --check` is given."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.json_format import ParseDict, ParseError

from ostiary.v1.decision_pb2 import Finding, HoldReason, PolicyResult, Verdict
from ostiary.v1.moderation_pb2 import CheckResponse
from ostiary.v1.record_pb2 import DecisionRecord
from ostiary_gateway.policy.decide import decide
from ostiary_gateway.policy.in_force import PolicyInForce
from ostiary_gateway.replay import subject_of


@dataclass(frozen=True)
class Decided:
    """A check that was decided: by which policy, and what came of it.

    Attributes:
        name: the file or the check, for people.
        by: name and version of the policy that decided it.
        anew: whether it was decided by the policy at hand, just now.
        verdict: the verdict.
        findings: what was found.
        holds: why a part could not be judged.
        results: how each policy fared.
        seen_before: the check whose observations it was decided on; empty where a pod looked.
    """

    name: str
    by: str
    anew: bool
    verdict: Verdict.ValueType
    findings: Sequence[Finding]
    holds: Sequence[HoldReason]
    results: Sequence[PolicyResult]
    seen_before: str = ""


def read_checks(text: str, policy: PolicyInForce) -> Iterator[Decided]:
    """Each check of a text: lines of `ostiary check --json`, or one JSON document. Raises ValueError."""
    found = 0
    for number, document in _documents(text):
        try:
            yield _read(document, policy)
        except ParseError as error:
            raise ValueError(f"line {number}: {' '.join(str(error).split())}") from error
        found += 1
    if not found:
        raise ValueError("it is empty: give lines of `ostiary check --json`, or one JSON document")


def _documents(text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        yield 1, _mapping(1, json.loads(text))
        return
    except json.JSONDecodeError:
        lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    for number, line in lines:
        try:
            yield number, _mapping(number, json.loads(line))
        except json.JSONDecodeError as error:
            raise ValueError(f"line {number}: it is not JSON: {error.msg}") from error


def _mapping(number: int, document: Any) -> dict[str, Any]:
    if not isinstance(document, dict):
        raise ValueError(f"line {number}: an object is expected, such as `ostiary check --json` prints")
    return document


def _read(document: dict[str, Any], policy: PolicyInForce) -> Decided:
    name = str(document.get("file", ""))
    if "error" in document:
        raise ValueError(f"{name}: the check ended with an error, and nothing was decided")
    if "response" in document and "observations" not in document:
        return _responded(name, ParseDict(document["response"], CheckResponse()))
    if "observations" in document or "listing" in document:
        return _decided_anew(ParseDict(document, DecisionRecord()), policy)
    if "verdict" not in document:
        raise ValueError("it holds neither a response nor observations: see `ostiary policy explain --help`")
    return _responded("", ParseDict(document, CheckResponse()))


def _responded(name: str, response: CheckResponse) -> Decided:
    return Decided(
        name=name or response.check_id,
        by=response.receipt.policy,
        anew=False,
        verdict=response.verdict,
        findings=response.findings,
        holds=response.hold_reasons,
        results=response.policies,
        seen_before=response.receipt.reused.check_id,
    )


def _decided_anew(record: DecisionRecord, policy: PolicyInForce) -> Decided:
    decision = decide(subject_of(record), policy)
    return Decided(
        name=record.check_id or "check",
        by=policy.label,
        anew=True,
        verdict=decision.verdict,
        findings=decision.findings,
        holds=decision.hold_reasons,
        results=decision.policies,
    )
