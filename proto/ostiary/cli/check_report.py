"""Tells the outcome of a check: JSON lines for programs, tables for people."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import typer
from google.protobuf.json_format import MessageToDict
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from ostiary.cli.check_run import Outcome
from ostiary.client import CheckResult, Finding, KnownImage, OstiaryError, Verdict

_CHEAP_TIER = "CHEAP_TIER"
_JUDGED = {"JUDGED", _CHEAP_TIER}
COLOURS = {
    Verdict.ALLOW: "bold green",
    Verdict.REVIEW: "bold yellow",
    Verdict.HOLD: "bold magenta",
    Verdict.BLOCK: "bold red",
}


@contextmanager
def progress(files: int) -> Iterator[Callable[[], None]]:
    """A progress bar on standard error, where that is a terminal and there is more than one file."""
    console = Console(stderr=True)
    columns = (TextColumn("checking"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    shown = console.is_terminal and files > 1
    with Progress(*columns, console=console, transient=True, disable=not shown) as bar:
        task = bar.add_task("check", total=files)
        yield lambda: bar.advance(task)


def print_json(outcome: Outcome) -> None:
    """One line: `{"file": …, "response": …}` or `{"file": …, "error": …}`."""
    typer.echo(json.dumps(as_json(outcome), ensure_ascii=False))


def as_json(outcome: Outcome) -> dict[str, Any]:
    """The object that `--json` prints; the response in proto3's JSON mapping, empty and zero fields too."""
    answer = outcome.answer
    if isinstance(answer, CheckResult):
        response = MessageToDict(answer.proto, always_print_fields_with_no_presence=True)
        return {"file": str(outcome.file), "response": response}
    violations = [{"field": each.field, "description": each.description} for each in answer.violations]
    error = {
        "reason": answer.reason.value,
        "status": answer.code.name,
        "message": answer.message,
        "violations": violations,
    }
    return {"file": str(outcome.file), "error": error}


def print_for_people(outcome: Outcome) -> None:
    """Tables on standard output; an error is one line on standard error."""
    answer = outcome.answer
    if isinstance(answer, OstiaryError):
        line = Text.assemble((plain(str(outcome.file)), "bold"), "  ", ("ERROR", "bold red"), "  ")
        Console(stderr=True, soft_wrap=True).print(
            line + Text(f"{answer.reason.value}: {plain(answer.message)}")
        )
        return
    Console().print(described(str(outcome.file), answer))


def described(name: str, result: CheckResult) -> RenderableType:
    """All that people want to know of a check."""
    verdict = (result.verdict.value, COLOURS[result.verdict])
    heading = Text.assemble(
        (plain(name), "bold"), "  ", verdict, "  (recorded earlier)" if result.replayed else ""
    )
    return Group(heading, Padding(_facts(result), (0, 0, 0, 2)), "")


def where(finding: Finding) -> str:
    """The places of a finding as `x,y width×height` in canonical pixels, or the field of the text."""
    if finding.regions:
        return "at " + "; ".join(f"{r.x},{r.y} {r.width}×{r.height}" for r in finding.regions)
    if claim := finding.contradiction:
        return f"against the {plain(claim.field)}"
    return f"in the {plain(finding.rule.field)}" if finding.rule else "in the whole image"


def evidence(finding: Finding) -> str:
    """What a finding rests on, in words."""
    words = []
    if rule := finding.rule:
        source = ", ".join(part for part in (rule.pack, rule.jurisdiction, rule.article) if part)
        words.append(f"“{rule.matched_text}” by {rule.rule} ({source})")
    if barcode := finding.barcode:
        words.append(f"{barcode.format} “{barcode.text}”")
    if brand := finding.brand:
        words.append(f"{brand.brand}, like {brand.reference_id} ({brand.kind}, {brand.score:.2f})")
    if score := finding.model_score:
        looked = "model" if finding.source == "vlm" else finding.source
        words.append(f"{looked}: {score.question}, P = {score.probability:.3f}")
    if known := finding.known_image:
        words.append(f"known to {_entry(known)}")
    if against := finding.contradiction:
        words.append(f"“{against.claimed}” claimed, {against.seen} seen ({against.confidence:.2f})")
    if allowed := finding.allowed_by:
        words.append(f"allowed by {_entry(allowed)}")
    return plain("; ".join(words) or finding.internal_reason)


def _entry(known: KnownImage) -> str:
    facts = [f"{known.distance} bits away", *filter(None, (known.source, known.note))]
    return f"{known.list} ({', '.join(facts)})"


def _facts(result: CheckResult) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for finding in result.findings:
        label = f"{plain(finding.policy)}/{plain(finding.label)}"
        line = f"{label}  score {finding.score:.2f}  {where(finding)}\n"
        table.add_row(finding.action.value, Text.assemble((line, "bold"), evidence(finding)))
    for reason in result.hold_reasons:
        table.add_row("on hold", Text(plain(f"{reason.code}: {reason.detail}")))
    if result.description:
        table.add_row("description", Text(plain(result.description.text)))
    if result.attributes:
        table.add_row("attributes", Text(plain(attributes(result))))
    undecided = [
        f"{each.policy} {each.state.lower()}" for each in result.policies if each.state not in _JUDGED
    ]
    if undecided:
        table.add_row("not judged", Text(plain(", ".join(undecided))))
    cheap = [each.policy for each in result.policies if each.state == _CHEAP_TIER]
    if cheap:
        table.add_row("cheap tier", Text(plain(f"{', '.join(cheap)}: judged without the vision model")))
    if reused := result.receipt.reused:
        words = f"what was seen for check {reused.check_id}, {_time(reused.looked_at)}: the same work"
        table.add_row("reused", Text(plain(words)))
    table.add_row("receipt", Text(plain(receipt(result))))
    return table


def attributes(result: CheckResult) -> str:
    """What was seen with its confidence, then what was not."""
    seen = [
        f"{each.name} {each.value} {each.confidence:.2f}"
        for each in result.attributes
        if each.value != "unknown"
    ]
    unseen = [each.name for each in result.attributes if each.value == "unknown"]
    return "; ".join([*seen, f"unknown: {', '.join(unseen)}"] if unseen else seen)


def receipt(result: CheckResult) -> str:
    """What proves the decision, in one line."""
    proof = result.receipt
    bundle = (
        f"{proof.bundle.name} {proof.bundle.version} {proof.bundle.digest.hex()[:12]}"
        if proof.bundle
        else "none"
    )
    return (
        f"check {result.check_id}, bundle {bundle}, policy {proof.policy}, "
        f"entry {proof.log_index} of {proof.log_origin}, {_time(proof.decided_at)}"
    )


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def plain(text: str) -> str:
    """Text that is safe on a terminal: a barcode's payload may hold escape sequences."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
