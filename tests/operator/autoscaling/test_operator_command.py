"""`ostiary operator explain` and `replay`: over a log of a made-up night."""

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from ostiary_operator.autoscaling.inputs import Inputs
from ostiary_operator.autoscaling.log import BadLog, line, read
from ostiary_operator.autoscaling.replay import Tally, replay
from ostiary_operator.autoscaling.spec import AutoscalerSpec
from ostiary_operator.cli import app
from tests.operator.autoscaling.fleets import CAPACITY, Version, spec

SPEC = {"scaleTargetRef": {"name": "mini-1"}, "maxReplicas": 50, "capacity": CAPACITY}


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, list(map(str, arguments)))


def night(candidate: AutoscalerSpec) -> list[str]:
    """Half an hour of decisions: little, a burst, little."""
    version, found = Version(candidate, 3, 40.0), []
    for tick in range(120):
        version.rate = 240.0 if 40 <= tick < 60 else 40.0
        version.pass_time()
        at, inputs = version.now, version.inputs()
        found.append(line("mini", at, candidate, inputs, version.decide()))
    return found


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "decisions.jsonl"
    path.write_text("\n".join([*night(spec()), ""]), "utf-8")
    return path


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "candidate.yaml"
    path.write_text(
        yaml.safe_dump({"apiVersion": "ostiary.dev/v1alpha1", "kind": "GPUAutoscaler", "spec": SPEC})
    )
    return path


def test_a_log_reads_back_as_it_was_decided(log: Path) -> None:
    """Inputs come back whole, and the same spec decides the same on them: a log is a proof of its
    decisions.
    """
    with log.open() as file:
        entries = list(read(file, "log"))
    assert all(Inputs.read(entry.inputs.document()) == entry.inputs for entry in entries)
    replayed = list(replay(entries, None, Tally()))
    assert [one.after.document() for one in replayed] == [one.entry.decision for one in replayed]


def test_explain_tells_what_was_read_and_what_came_of_it(log: Path) -> None:
    """For people: metrics, clamps and conditions."""
    done = run("explain", log, "--changed", "--last", "3")
    assert done.exit_code == 0
    assert "demand: 2" in done.output
    assert "down from" in done.output
    up = run("explain", log, "--changed")
    assert "up from 3 to 7" in up.output
    assert "rate: 9 → 7: scaleUp allows 7 now (Max of 100 Percent in 15 s, 4 Pods in 15 s)" in up.output


def test_explain_for_programs(log: Path) -> None:
    """One object a line, with the words and the decision."""
    done = run("explain", log, "--json", "--last", "2")
    told = [json.loads(text) for text in done.output.splitlines()]
    assert [set(one) for one in told] == [{"name", "at", "words", "decision"}] * 2
    assert told[-1]["at"] == "1970-01-12T14:16:40Z"


def test_the_same_policy_changes_nothing_but_what_pods_take_to_come(log: Path, policy: Path) -> None:
    """The replay's own pods are ready a cold start late; demand asks for the same numbers."""
    done = run("replay", log, "--policy", policy, "--json")
    summary = json.loads(done.output.splitlines()[-1])["summary"]
    assert summary["decisions"] == 120
    assert summary["pod_hours_after"] == pytest.approx(summary["pod_hours_before"], rel=0.05)


def test_another_policy_would_have_cost_more(log: Path, policy: Path) -> None:
    """Twice the room: more pods at the same demand, told decision by decision and in sum. Exit code 3."""
    policy.write_text(yaml.safe_dump({**SPEC, "metrics": [{"type": "Demand", "target": 0.4}]}))
    done = run("replay", log, "--policy", policy, "--limit", "1")
    assert done.exit_code == 3
    assert done.output.count("would be") == 1
    told = run("replay", log, "--policy", policy, "--json", "--limit", "0")
    summary = json.loads(told.output)["summary"]
    assert summary["pod_hours_after"] > 1.6 * summary["pod_hours_before"]
    assert summary["short"] < 20


def test_a_frugal_policy_is_told_to_be_short(log: Path, policy: Path) -> None:
    """Two pods cannot carry the burst, and the replay says at how many decisions."""
    policy.write_text(yaml.safe_dump({**SPEC, "maxReplicas": 2}))
    summary = json.loads(run("replay", log, "--policy", policy, "--json", "--limit", "0").output)["summary"]
    assert summary["most_after"] == 2
    assert summary["short"] >= 19


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text.replace('"version":1', '"version":9', 1), ":1: not a decision: version 9"),
        (lambda text: text.replace('"inputs"', '"output"', 1), ":1: not a decision: no inputs"),
        (
            lambda text: text.replace('"maxReplicas":50', '"maxReplicas":0', 1),
            ":1: not a decision: spec.maxReplicas",
        ),
        (lambda text: "{]\n" + text, ":1: not JSON"),
    ],
    ids=["another version", "no inputs", "a bad spec", "not JSON"],
)
def test_a_bad_log_names_file_and_line(log: Path, change: object, words: str) -> None:
    """Exit code 1, and nothing is guessed."""
    log.write_text(change(log.read_text("utf-8")), "utf-8")  # type: ignore[operator]
    done = run("explain", log)
    assert done.exit_code == 1
    assert f"{log}{words}" in done.output


def test_a_line_that_a_crash_cut_off_is_left_out(log: Path) -> None:
    """Only the last one; in the middle it is an error."""
    text = log.read_text("utf-8")
    log.write_text(text[:-40], "utf-8")
    with log.open() as file:
        assert len(list(read(file, "log"))) == 119
    with pytest.raises(BadLog, match="log:1: not JSON"):
        list(read(["{\n", text], "log"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [", "candidate.yaml:1: not YAML"),
        ("- 1", "expected a GPUAutoscaler or its spec"),
        ("kind: Pod", "expected apiVersion ostiary.dev/v1alpha1 and kind GPUAutoscaler"),
        ("maxReplicas: 3", "spec.capacity: Field required"),
    ],
)
def test_a_bad_policy_names_the_field(log: Path, policy: Path, text: str, words: str) -> None:
    """Exit code 1."""
    policy.write_text(text)
    done = run("replay", log, "--policy", policy)
    assert done.exit_code == 1
    assert words in done.output


@pytest.mark.parametrize("command", ["explain", "replay"])
def test_the_help_has_examples(command: str) -> None:
    """Each command shows how it is called and what its exit codes mean."""
    done = run(command, "--help")
    assert f"ostiary operator {command}" in done.output
    assert "Exit codes" in done.output


def test_a_file_that_is_not_there(policy: Path) -> None:
    """A mistake in the call is exit code 2."""
    assert run("explain", "no-such.jsonl").exit_code == 2
    assert run("replay", "no-such.jsonl", "--policy", policy).exit_code == 2
