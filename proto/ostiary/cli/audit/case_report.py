"""Tells cases: tables for people, JSON lines for programs."""

import json
from collections.abc import Sequence
from typing import Any

import typer
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from rich.console import Console, Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ostiary.cli.check_report import COLOURS, described, plain
from ostiary.client import CheckResult
from ostiary.client.result import Verdict as ResultVerdict
from ostiary.v1.audit_pb2 import CaseEvent, CaseState, CaseSummary, GetCaseResponse
from ostiary.v1.decision_pb2 import Verdict
from ostiary.v1.listing_pb2 import Listing

# Widths that leave room for a check's id in a terminal of 80 columns; the rest of a case is its second line.
_HEADER = f"{'Decided (UTC)':16}  {'Verdict':7}  {'State':8}  {'Score':5}  Check"
_TEXTS = ("title", "description", "category", "claimed_brand", "seller", "territory", "listing_id")


def print_json(message: Message) -> None:
    """One line: the message in proto3's JSON mapping, empty and zero fields too."""
    typer.echo(json.dumps(as_json(message), ensure_ascii=False))


def as_json(message: Message) -> dict[str, Any]:
    """The object that `--json` prints."""
    return MessageToDict(message, always_print_fields_with_no_presence=True)


def print_cases(cases: Sequence[CaseSummary]) -> None:
    """Two lines a case: what it is and where it stands; whose, why, and who has it."""
    console = Console()
    if cases:
        console.print(Text(_HEADER, style="bold"), soft_wrap=True)
    for case in cases:
        line = Text(f"{case.decided_at.ToDatetime():%Y-%m-%d %H:%M}  ")
        line.append_text(_verdict(case.verdict))
        line.append(" " * (27 - len(line)))
        state = CaseState.Name(case.state).removeprefix("CASE_STATE_")
        line.append(f"{state:8}  {case.score:5.2f}  {case.check_id}")
        console.print(line, soft_wrap=True)
        about = [f"seller {plain(case.seller)}"] if case.seller else []
        about += [plain(", ".join(case.labels))] if case.labels else []
        about += [f"claimed by {_who(case.claimed_by)}"] if case.claimed_by else []
        if about:
            console.print(Padding(Text("; ".join(about), style="dim"), (0, 0, 0, 2)))


def print_case(case: GetCaseResponse) -> None:
    """All that people want to know of a case."""
    if any(event.kind == "erased" for event in case.events):
        entry = case.response.receipt.log_index
        words = f"{case.summary.check_id} was erased: entry {entry} of the log stays"
        Console().print(Group(Text(words, style="bold"), Padding(_events(case.events), (0, 0, 0, 2))))
        return
    parts = [described(case.summary.check_id, CheckResult.from_proto(case.response))]
    for title, table in (("listing", _listing(case.listing)), ("history", _events(case.events))):
        parts += [Text(title, style="bold"), Padding(table, (0, 0, 0, 2)), ""]
    verdict, state = _verdict(case.summary.verdict), CaseState.Name(case.summary.state)
    stands = Text.assemble("stands: ", verdict, f", {state.removeprefix('CASE_STATE_')}")
    if case.legal_hold:
        stands.append(", under a legal hold")
    Console().print(Group(*parts, stands))


def _listing(listing: Listing) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name in _TEXTS:
        if text := getattr(listing, name):
            table.add_row(name.replace("_", " "), Text(plain(text)))
    return table


def _events(events: Sequence[CaseEvent]) -> Table:
    table = Table("At (UTC)", "What", "Who", "Detail", "Entry", box=None, padding=(0, 2, 0, 0))
    for event in events:
        table.add_row(
            _time(event.at),
            event.kind,
            Text(_who(event.actor)),
            Text(plain(event.detail)),
            str(event.log_index),
        )
    return table


def _who(spiffe_id: str) -> str:
    """Whom an id names within its trust domain: `tenant/demo/role/auditor`."""
    _, found, path = spiffe_id.removeprefix("spiffe://").partition("/")
    return plain(path if found and spiffe_id.startswith("spiffe://") else spiffe_id)


def _verdict(verdict: Verdict.ValueType) -> Text:
    name = Verdict.Name(verdict).removeprefix("VERDICT_")
    known = ResultVerdict.__members__.get(name)
    return Text(name, style=COLOURS[known] if known else "")


def _time(time: Timestamp) -> str:
    return f"{time.ToDatetime():%Y-%m-%d %H:%M:%S}"
