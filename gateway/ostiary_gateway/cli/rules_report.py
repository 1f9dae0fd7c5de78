"""Tells of rule packs: tables for people, JSON lines for programs."""

import json
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from ostiary_gateway.rules.pack import Case, RulePack
from ostiary_gateway.rules.problem import Problem
from ostiary_gateway.rules.rule import Rule


def tell_lint(name: str, problems: Sequence[Problem], *, as_json: bool) -> None:
    """What is wrong with a file: a line for each problem, or that there is none."""
    if as_json:
        listed = [{"line": problem.line, "reason": problem.reason} for problem in problems]
        _print_json({"file": name, "ok": not problems, "problems": listed})
        return
    for problem in problems:
        typer.echo(f"{name}:{problem.line}: {problem.reason}")
    if not problems:
        typer.echo(f"{name}: ok")


def tell_trial(
    pack: RulePack, cases: Sequence[Case], problems: Sequence[tuple[str, Problem]], *, as_json: bool
) -> None:
    """How each rule of a pack did, then the cases that failed."""
    rows = [dict(row, pack=pack.label) for row in _by_rule(cases)]
    if as_json:
        for row in rows:
            _print_json(row)
    else:
        table = Table("Rule", "Matches", "Leaves alone", "", title=pack.label)
        for row in rows:
            table.add_row(
                row["rule"], _of(row["matches"]), _of(row["ignores"]), "ok" if row["ok"] else "FAILS"
            )
        Console().print(table)
    for name, problem in problems:
        typer.echo(f"{name}:{problem.line}: {problem.reason}", err=True)


def tell_rules(rules: Sequence[tuple[RulePack, Rule]], *, as_json: bool) -> None:
    """Rules with what they speak for and by which article."""
    if as_json:
        for pack, rule in rules:
            _print_json(_as_json(pack, rule))
        return
    for pack, group in groupby(rules, key=lambda pair: pair[0]):
        where = pack.jurisdiction or "everywhere"
        table = Table("Rule", "Label", "Severity", "Article", title=f"{pack.label}, {where}")
        for _, rule in group:
            table.add_row(rule.id, rule.label, rule.severity, rule.article or "–")
        Console().print(table)


def _by_rule(cases: Sequence[Case]) -> Iterator[dict[str, Any]]:
    for rule, group in groupby(cases, key=lambda case: case.rule):
        own = list(group)
        yield {
            "rule": rule,
            "ok": all(case.passed for case in own),
            "matches": [sum(case.passed for case in own if case.matches), sum(case.matches for case in own)],
            "ignores": [
                sum(case.passed for case in own if not case.matches),
                sum(not case.matches for case in own),
            ],
        }


def _as_json(pack: RulePack, rule: Rule) -> dict[str, Any]:
    return {
        "rule": rule.id,
        "pack": pack.label,
        "jurisdiction": pack.jurisdiction,
        "policy": rule.policy,
        "label": rule.label,
        "severity": rule.severity,
        "score": rule.score,
        "fields": sorted(rule.fields),
        "article": rule.article,
        "seller_reason": rule.seller_reason,
    }


def _of(counted: Sequence[int]) -> str:
    return f"{counted[0]} of {counted[1]}"


def _print_json(document: dict[str, Any]) -> None:
    typer.echo(json.dumps(document, ensure_ascii=False))
