"""Tells of policies: tables and lines for people, JSON lines for programs."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Any

import typer

from ostiary.v1.decision_pb2 import Verdict
from ostiary_gateway.cli.policy_checks import Decided
from ostiary_gateway.policy import fallback
from ostiary_gateway.policy.cases import Tried, hit
from ostiary_gateway.policy.explaining import StepInWords, causes, fallbacks, steps
from ostiary_gateway.policy.in_force import PolicyInForce
from ostiary_gateway.policy.lint import Linted


def tell_lint(file: Path, linted: Linted, *, as_json: bool) -> None:
    """A line for each problem and remark, or that there is none."""
    if as_json:
        policy = linted.policy
        _print_json(
            {
                "file": str(file),
                "ok": not linted.problems,
                "policy": policy.label if policy else "",
                "sha256": policy.sha256.hex() if policy else "",
                "problems": [asdict(problem) for problem in linted.problems],
                "remarks": [asdict(remark) for remark in linted.remarks],
            }
        )
        return
    for problem in linted.problems:
        typer.echo(f"{file}:{problem.line}: {problem.reason}")
    for remark in linted.remarks:
        typer.echo(f"{file}:{remark.line}: remark: {remark.reason}")
    if linted.policy:
        typer.echo(f"{file}: ok: {linted.policy.label}, SHA-256 {linted.policy.sha256.hex()}")


def tell_policy(policy: PolicyInForce, name: str, label: str, category: str | None, *, as_json: bool) -> None:
    """What happens for each label, and what stands in for each failure."""
    told = [
        step for step in steps(policy, category) if name in ("", step.policy) and label in ("", step.label)
    ]
    rules = [rule for rule in policy.message.policies if name in ("", rule.policy)]
    if label:
        rules = [rule for rule in rules if any(step.policy == rule.policy for step in told)]
    failures = {rule.policy: fallbacks(rule, policy) for rule in rules}
    if as_json:
        _print_json(_policy_as_json(policy, told, failures, category))
        return
    packs = ", ".join(pack.label for pack in policy.packs) or "none"
    typer.echo(f"{policy.label}, SHA-256 {policy.sha256.hex()}")
    typer.echo(f"rule packs: {packs}")
    typer.echo(f"where no pod looks: {_no_pod(policy)}")
    by_policy = {key: list(group) for key, group in groupby(told, key=lambda step: step.policy)}
    for rule_name, (unsupported, unavailable) in failures.items():
        typer.echo(
            f"\n{rule_name}: where no bundle can judge it: {unsupported}; where that fails: {unavailable}"
        )
        _print_steps(by_policy.get(rule_name, []))


def tell_check(decided: Decided, policy: PolicyInForce, *, as_json: bool) -> None:
    """What a check's verdict rests on, what decided it first."""
    verdict = Verdict.Name(decided.verdict).removeprefix("VERDICT_")
    found = causes(policy, decided.verdict, decided.findings, decided.holds, decided.results)
    another = decided.by != policy.label
    if as_json:
        document = {
            "check": decided.name,
            "verdict": verdict,
            "policy": policy.label,
            "decided_by": decided.by,
            "decided_anew": decided.anew,
            "reused": decided.seen_before,
            "causes": [asdict(cause) for cause in found],
        }
        _print_json(document)
        return
    how = "decided just now by" if decided.anew else "decided by"
    typer.echo(f"{_plain(decided.name)}: {verdict}, {how} {decided.by}")
    if another:
        typer.echo(f"  note: this file is {policy.label}: places are told as far as both agree")
    if decided.seen_before:
        typer.echo(f"  on what was seen for check {decided.seen_before}")
    for cause in found:
        mark = "→" if cause.decisive else " "
        asks = f" asks for {cause.asks}" if cause.asks else ""
        where = f" [{cause.place}]" if cause.place else ""
        what = " ".join(filter(None, (cause.what, _plain(cause.about))))
        typer.echo(f"  {mark} {what}{asks}{where}: {_plain(cause.words)}")


def tell_cases(file: Path, done: Sequence[Tried], *, as_json: bool) -> None:
    """What came of each case that turned out otherwise, and how many did not."""
    failed = [each for each in done if each.problems]
    if as_json:
        for each in done:
            _print_json(
                {
                    "case": each.case.name,
                    "ok": not each.problems,
                    "verdict": each.verdict,
                    "findings": sorted(map(hit, each.decision.findings)),
                    "problems": each.problems,
                }
            )
        return
    for each in failed:
        for problem in each.problems:
            typer.echo(f"{file}: {each.case.name}: {problem}")
        for reason in each.decision.hold_reasons:
            typer.echo(f"  {reason.code}: {reason.detail}")
    typer.echo(f"{len(done) - len(failed)} of {len(done)} cases turn out as they say")


def _print_steps(told: Sequence[StepInWords]) -> None:
    if not told:
        typer.echo("  no label is named: whatever is found is noted")
    for label, group in groupby(told, key=lambda step: step.label):
        typer.echo(f"  {label}")
        for step in group:
            said = "; ".join(filter(None, (step.when, step.conditions)))
            not_meant = "" if step.meant else " (not for this listing)"
            typer.echo(f"    {step.action:6} {said}{not_meant}")


def _no_pod(policy: PolicyInForce) -> str:
    said = policy.message.failure.fallback
    if not said:
        return "as the route's failureVerdict says, or else HOLD"
    most = " (REVIEW at best)" if fallback.named(said) == "cheap tier" else ""
    return f"{fallback.named(said)}{most}, or the route's failureVerdict where that is graver"


def _policy_as_json(
    policy: PolicyInForce,
    told: Sequence[StepInWords],
    failures: dict[str, tuple[str, str]],
    category: str | None,
) -> dict[str, Any]:
    message = policy.message
    return {
        "policy": policy.label,
        "sha256": policy.sha256.hex(),
        "rule_packs": [pack.label for pack in policy.packs],
        "no_pod": fallback.named(message.failure.fallback) if message.failure.fallback else "",
        "allow_without_model": message.failure.allow_without_model,
        "category": category,
        "failures": {
            name: {"unsupported": unsupported, "unavailable": unavailable}
            for name, (unsupported, unavailable) in failures.items()
        },
        "steps": [asdict(step) for step in told],
    }


def _plain(text: str) -> str:
    """Text that is safe on a terminal: a finding may quote what an image says."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def _print_json(document: dict[str, Any]) -> None:
    typer.echo(json.dumps(document, ensure_ascii=False))
