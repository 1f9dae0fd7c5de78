"""`ostiary policy` as people and programs call it."""

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict, MessageToJson
from typer.testing import CliRunner, Result

from gateway import sights
from ostiary.v1.decision_pb2 import VERDICT_HOLD, VERDICT_REVIEW, HoldReason, PolicyResult, Receipt, Reuse
from ostiary.v1.listing_pb2 import Listing
from ostiary.v1.moderation_pb2 import CheckResponse
from ostiary.v1.observation_pb2 import PolicyState
from ostiary.v1.record_pb2 import DecisionRecord
from ostiary_gateway.cli.policy import app

DEFAULT = (files("ostiary_gateway") / "defaults/policy.yaml").read_text("utf-8")
SMALL = """name: small
version: "1"
rulePacks: [diversion]
policies:
  - policy: prohibited_ads
    labels:
      - label: contact_details
        steps:
          - {action: ACTION_BLOCK, threshold: 0.9}
          - {action: ACTION_REVIEW, threshold: 0.5}
      - label: off_platform
        steps: [{action: ACTION_REVIEW, threshold: 0.5}]
      - label: qr_code
        steps: [{action: ACTION_REVIEW, targetPrecision: 0.97}]
"""


def run(*arguments: object, given: str | None = None) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], input=given)


def answers(*arguments: object, given: str | None = None) -> list[dict[str, Any]]:
    return [json.loads(line) for line in run(*arguments, "--json", given=given).stdout.splitlines()]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "policy.yaml"
    path.write_text(SMALL, "utf-8")
    return path


def test_the_shipped_policy_is_sound(tmp_path: Path) -> None:
    """Nothing wrong with it, and nothing in it that may not be meant; its hash is told."""
    path = tmp_path / "policy.yaml"
    path.write_text(DEFAULT, "utf-8")
    [told] = answers("lint", path)
    assert (told["ok"], told["policy"], told["problems"], told["remarks"]) == (True, "default@1", [], [])
    assert told["sha256"] in run("lint", path).stdout


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        (
            "ACTION_REVIEW, threshold: 0.5}\n      - label: off",
            "ACTION_REVIEW, threshold: 1.5}\n      - label: off",
            10,
            "above 0 and at most 1",
        ),
        ("    labels:", "    onUnavailable: FALLBACK_ALLOW\n    labels:", 6, "FALLBACK_ALLOW"),
        (
            "    labels:",
            "    optional: true\n    onUnsupported: FALLBACK_REVIEW\n    labels:",
            7,
            "keep one of the two",
        ),
        (
            "policies:",
            "failure: {allowWithoutModel: true}\npolicies:",
            4,
            "nothing falls back to a cheap tier",
        ),
        ("[diversion]", "[diversions]", 3, "there is no pack 'diversions'"),
        ("    labels:", "    lables:", 6, 'no field named "lables"'),
        ('version: "1"\n', 'version: "1"\nversion: "2"\n', 3, "given twice"),
        (
            "      - label: qr_code",
            '      - label: qr_code\n        sellerReason: "one\\ntwo"',
            14,
            "one line",
        ),
        ("name: small", "name: [", 3, "expected"),
    ],
    ids=[
        "threshold",
        "fallback",
        "twice over",
        "says nothing",
        "pack",
        "field",
        "key twice",
        "two lines",
        "no YAML",
    ],
)
def test_lint_says_what_is_wrong_and_where(file: Path, old: str, new: str, line: int, words: str) -> None:
    """FILE:LINE: why, exit code 1; the same for programs."""
    file.write_text(SMALL.replace(old, new, 1), "utf-8")
    result = run("lint", file)
    assert result.exit_code == 1
    assert words in result.stdout
    assert f"{file}:{line}: " in result.stdout
    [told] = answers("lint", file)
    assert [problem["line"] for problem in told["problems"]] == [line]


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("threshold: 0.5}\n      - label: off", "threshold: 0.95}\n      - label: off", 10, "never counts"),
        (
            "      - label: off_platform\n        steps: [{action: ACTION_REVIEW, threshold: 0.5}]\n",
            "",
            6,
            "off_platform",
        ),
        (
            "policies:",
            "failure: {fallback: FALLBACK_CHEAP_TIER, allowWithoutModel: true}\npolicies:",
            4,
            "may be ALLOW",
        ),
    ],
    ids=["a step in the shade", "a label that packs find", "allowed without a model"],
)
def test_lint_remarks_on_what_may_not_be_meant(file: Path, old: str, new: str, line: int, words: str) -> None:
    """A gateway takes it; the author should look at it. Exit code 0."""
    assert answers("lint", file)[0]["remarks"] == []
    file.write_text(SMALL.replace(old, new, 1), "utf-8")
    result = run("lint", file)
    assert result.exit_code == 0
    assert f"{file}:{line}: remark: " in result.stdout
    assert words in result.stdout


def test_explain_tells_every_step_and_every_failure(file: Path) -> None:
    """Labels with their steps, and what stands in for what cannot be judged."""
    file.write_text(SMALL + "failure: {fallback: FALLBACK_CHEAP_TIER}\n", "utf-8")
    shown = run("explain", file).stdout
    for words in ("where no pod looks: cheap tier (REVIEW at best)", "BLOCK  from 0.9 on", "precision 0.97"):
        assert words in shown
    [told] = answers("explain", file)
    assert told["failures"] == {"prohibited_ads": {"unsupported": "HOLD", "unavailable": "cheap tier"}}
    assert [step["place"] for step in told["steps"]][:2] == [
        "policies[0].labels[0].steps[0]",
        "policies[0].labels[0].steps[1]",
    ]


def test_explain_for_one_label_and_category(tmp_path: Path) -> None:
    """Steps that are not meant for such a listing are told apart."""
    path = tmp_path / "policy.yaml"
    path.write_text(DEFAULT, "utf-8")

    def meant(category: str) -> set[bool]:
        [told] = answers("explain", path, "--label", "underwear_swimwear", "--category", category)
        assert {step["policy"] for step in told["steps"]} == {"nudity"}
        assert list(told["failures"]) == ["nudity"]
        return {step["meant"] for step in told["steps"] if step["action"] == "REVIEW"}

    assert meant("Women > 比基尼") == {False}
    assert meant("dresses") == {True}
    assert "(not for this listing)" in run("explain", path, "--category", "bikini").stdout


def test_explain_of_an_unknown_policy_is_usage(file: Path) -> None:
    """The ones that there are are named."""
    result = run("explain", file, "--policy", "nudty")
    assert (result.exit_code, "prohibited_ads" in result.output) == (2, True)


def test_which_step_decided(file: Path) -> None:
    """A recorded check decided again: the finding that decided, and the step that says so, come first."""
    record = DecisionRecord(listing=Listing(title="加微信领券"), observations=sights.clean())
    record.response.verdict = VERDICT_HOLD
    [told] = answers("explain", file, "--check", "-", given=MessageToJson(record))
    assert (told["verdict"], told["decided_anew"]) == ("BLOCK", True)
    first = told["causes"][0]
    assert (first["decisive"], first["asks"]) == (True, "BLOCK")
    assert first["place"] == "policies[0].labels[0].steps[0]"
    assert first["about"].startswith("prohibited_ads/contact_details (text")


def test_why_a_check_is_held(file: Path, tmp_path: Path) -> None:
    """The reason, and the part of the policy that could have said otherwise."""
    response = CheckResponse(
        check_id="0190",
        verdict=VERDICT_HOLD,
        hold_reasons=[HoldReason(code="unavailable", image_index=-1, detail="no pod answered")],
        policies=[PolicyResult(policy="prohibited_ads", state=PolicyState.POLICY_STATE_UNAVAILABLE)],
        receipt=Receipt(policy="other@3", reused=Reuse(check_id="018f")),
    )
    lines = tmp_path / "answers.jsonl"
    line = json.dumps({"file": "cup.jpg", "response": MessageToDict(response)})
    lines.write_text(f"{line}\n{line}\n", "utf-8")
    told = answers("explain", file, "--check", lines)
    assert [each["check"] for each in told] == ["cup.jpg", "cup.jpg"]
    assert {cause["place"] for cause in told[0]["causes"] if cause["decisive"]} == {"", "failure.fallback"}
    assert told[0]["reused"] == "018f"
    shown = run("explain", file, "--check", lines).stdout
    assert "decided by other@3" in shown
    assert "this file is small@1" in shown


def test_what_the_cheap_tier_decided(file: Path) -> None:
    """REVIEW that no finding asks for."""
    response = CheckResponse(
        verdict=VERDICT_REVIEW,
        policies=[PolicyResult(policy="prohibited_ads", state=PolicyState.POLICY_STATE_CHEAP_TIER)],
    )
    [told] = answers("explain", file, "--check", "-", given=MessageToJson(response))
    [decisive] = [cause for cause in told["causes"] if cause["decisive"]]
    assert decisive["words"] == "stands in: cheap tier"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("", "it is empty"),
        ("[1]", "line 1: an object is expected"),
        ('{"verdict": "VERDICT_ALLOW"}\n{"verdict"', "line 2: it is not JSON"),
        ('{"verdict": "VERDICT_PERHAPS"}', "VERDICT_PERHAPS"),
        ('{"file": "a.jpg", "error": {"reason": "UNAVAILABLE"}}', "a.jpg: the check ended with an error"),
        ('{"x": 1}', "neither a response nor observations"),
    ],
)
def test_what_cannot_be_explained(file: Path, given: str, words: str) -> None:
    """Line and reason on standard error, exit code 1."""
    result = run("explain", file, "--check", "-", given=given)
    assert (result.exit_code, words in result.stderr) == (1, True), result.stderr


def cases(path: Path, text: str) -> Path:
    path.write_text(text, "utf-8")
    return path


def test_cases_that_turn_out_otherwise(file: Path, tmp_path: Path) -> None:
    """Each with what came of it; exit code 1."""
    written = cases(
        tmp_path / "cases.yaml",
        'cases:\n  - {name: one, text: ["微信：abc12345"], verdict: REVIEW, findings: []}\n'
        "  - {name: two, fails: pod, verdict: HOLD}\n"
        "  - {name: three, fails: model, verdict: ALLOW}\n",
    )
    result = run("test", file, written)
    assert result.exit_code == 1
    for words in ("one: is BLOCK, not REVIEW", "not nothing", "three: is HOLD, not ALLOW", "1 of 3 cases"):
        assert words in result.stdout
    told = answers("test", file, written)
    assert [each["ok"] for each in told] == [False, True, False]
    assert told[0]["findings"] == ["prohibited_ads/contact_details BLOCK"]


@pytest.mark.parametrize(
    ("case", "verdict"),
    [
        ("barcodes: ['https://example.com/x']", "ALLOW"),
        ("scores: [{policy: prohibited_ads, label: qr_code, score: 0.9, precision: 0.98}]", "REVIEW"),
        ("scores: [{policy: prohibited_ads, label: qr_code, score: 0.9, precision: 0.96}]", "ALLOW"),
        ("unsupported: [prohibited_ads]", "HOLD"),
        ("title: 加微信领券, fails: pod", "BLOCK"),
    ],
)
def test_cases_are_decided_as_checks_are(file: Path, tmp_path: Path, case: str, verdict: str) -> None:
    """Scores by the table's precision, text of the listing where no pod looks, what is unsupported."""
    written = cases(tmp_path / "cases.yaml", f"cases: [{{name: one, {case}, verdict: {verdict}}}]\n")
    result = run("test", file, written)
    assert result.exit_code == 0, result.stdout


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("cases: []", "cases"),
        ("cases: [{name: a}]", "cases.0.verdict"),
        ("cases: [{name: a, verdict: PERHAPS}]", "cases.0.verdict"),
        ("cases: [{name: a, verdict: HOLD, fails: pod, text: [x]}]", "nothing is seen where the pod fails"),
        (
            "cases: [{name: a, verdict: HOLD, fails: model, scores: [{policy: p, label: l, score: 1}]}]",
            "the model answers nothing",
        ),
        ("cases: [{name: a, verdict: HOLD, colour: red}]", "cases.0.colour"),
    ],
)
def test_bad_cases_are_refused(file: Path, tmp_path: Path, text: str, words: str) -> None:
    """The field is named; exit code 1."""
    result = run("test", file, cases(tmp_path / "cases.yaml", text))
    assert (result.exit_code, words in result.stderr) == (1, True), result.stderr


@pytest.mark.parametrize("command", ["lint", "explain", "test"])
def test_help(command: str) -> None:
    """Exit codes and examples are told; a file that is not there is a mistake in the call."""
    assert "Exit codes" in run(command, "--help").stdout
    assert run(command, "no-such.yaml").exit_code == 2
    assert f"ostiary policy {command}" in " ".join(run("--help").stdout.replace("│", " ").split())
