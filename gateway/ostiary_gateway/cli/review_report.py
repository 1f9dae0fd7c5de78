"""Tells people, or programs, of cases, of what became of them, and of how far reviewers agree."""

from collections.abc import Mapping, Sequence
from datetime import UTC
from typing import Any

from google.protobuf import json_format
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ostiary.v1.audit_pb2 import CaseOutcome, CaseState, ClaimCaseResponse, GetCaseResponse
from ostiary.v1.decision_pb2 import Action, Verdict
from ostiary_gateway.review.agreement import Agreement


def case_document(claimed: ClaimCaseResponse, case: GetCaseResponse) -> dict[str, Any]:
    """A case as the proto3 JSON mapping has it, and until when it is held."""
    document = json_format.MessageToDict(case, preserving_proto_field_name=True)
    document.pop("observations", None)  # megabytes of what the findings say already
    return {"lease_until": claimed.lease_until.ToJsonString(), **document}


def tell_case(claimed: ClaimCaseResponse, case: GetCaseResponse) -> None:
    """A case, as much as one needs to decide it."""
    console, line = Console(), claimed.summary
    until = claimed.lease_until.ToDatetime(UTC).astimezone()
    console.print(f"[bold]{line.check_id}[/bold]  {_verdict(line.verdict)}  {_state(line.state)}")
    console.print(f"yours until {until:%H:%M}; seller {escape(line.seller) or 'unknown'}")
    for name, text in (("title", case.listing.title), ("description", case.listing.description)):
        if text:
            console.print(f"{name}: {escape(text)}")
    table = Table("finding", "asks for", "score", "found by", "why")
    for found in case.response.findings:
        asks = Action.Name(found.action).removeprefix("ACTION_")
        why = escape(found.internal_reason)
        table.add_row(f"{found.policy}/{found.label}", asks, f"{found.score:.2f}", found.source, why)
    for held in case.response.hold_reasons:
        table.add_row(held.code, "HOLD", "", "", escape(held.detail))
    console.print(table)
    for event in case.events:
        at = event.at.ToDatetime(UTC).astimezone()
        console.print(f"{at:%Y-%m-%d %H:%M}  {event.kind}  {escape(event.actor)}  {escape(event.detail)}")


def outcome_document(outcome: CaseOutcome) -> dict[str, str]:
    """What became of a case."""
    return {"check_id": outcome.check_id, "verdict": _verdict(outcome.verdict), "error": outcome.error}


def tell_outcomes(outcomes: Sequence[CaseOutcome]) -> None:
    """What became of each case."""
    table = Table("check", "stands", "")
    for each in outcomes:
        table.add_row(each.check_id, _verdict(each.verdict), escape(each.error) or "decided")
    Console().print(table)


def stats_document(found: Mapping[str, Mapping[str, Agreement]]) -> dict[str, Any]:
    """The figures by name."""
    return {kind: {name: vars(each) for name, each in named.items()} for kind, named in found.items()}


def tell_stats(cases: int, found: Mapping[str, Mapping[str, Agreement]]) -> None:
    """The figures as tables."""
    console = Console()
    console.print(f"{cases:,} cases with a ruling")
    for kind, named in found.items():
        table = Table(kind.removesuffix("s"), "compared", "the same", "kappa")
        for name, each in named.items():
            kappa = "–" if each.kappa is None else f"{each.kappa:.3f}"
            table.add_row(escape(name), f"{each.pairs:,}", f"{each.same:.1%}", kappa)
        console.print(table if named else f"no {kind} to compare")


def _verdict(verdict: Verdict.ValueType) -> str:
    return Verdict.Name(verdict).removeprefix("VERDICT_") if verdict else ""


def _state(state: CaseState.ValueType) -> str:
    return CaseState.Name(state).removeprefix("CASE_STATE_").lower()
