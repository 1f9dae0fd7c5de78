"""The engine benchmark end to end, with a handful of checks for each arm."""

import argparse
import os
from pathlib import Path

import pytest

from bench.engine import __main__ as command
from bench.engine import environments
from bench.engine.arms import ARMS, Arm
from bench.engine.plan import smoke

OWN = [arm for arm in ARMS if arm.name in ("tutorial", "ours")]
PEERS = [arm for arm in ARMS if arm.environment]
OPTIONS = argparse.Namespace(resume=False, bundle="mini", threads=1, cores="", max_batch=8)


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Results of a benchmark that somebody runs here stay untouched; the demo's images will do."""
    monkeypatch.setattr(command, "WORK", tmp_path)
    monkeypatch.setenv("OSTIARY_PHOTOS", str(tmp_path / "none"))


def test_tutorial_and_pod_see_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    """Both are started, loaded and stopped, and give the same answers and the same words."""
    report = command.Run(smoke(), OWN, OPTIONS).go()
    assert [row for row in report.rows if "not measured" in row] == []
    measured = [row for row in report.rows if "checks/s" in row]
    assert {row["arm"] for row in measured} == {"tutorial", "ours"}
    assert all(row["failed"] == 0 and row["checks"] > 0 and row["CPU s/check"] > 0 for row in measured)
    ours = next(row for row in report.rows if "answers alike" in row and row["arm"] == "ours")
    assert (ours["answers alike"], ours["descriptions alike"]) == (1.0, 1.0)
    assert ours["largest ΔP(yes)"] < 1e-4
    assert "[2/2" in capsys.readouterr().out


@pytest.mark.parametrize("arm", PEERS, ids=lambda arm: arm.name)
def test_a_peer_answers(arm: Arm) -> None:
    """Where its environment is at hand, it is started and answers checks as the tutorial loop does."""
    reason = environments.missing(arm.environment or "")
    if reason or not os.environ.get("OSTIARY_BENCH_PEERS"):
        pytest.skip(f"{arm.name}: {reason or 'starts slowly; OSTIARY_BENCH_PEERS=1 runs it'}")
    report = command.Run(smoke(), [arm], OPTIONS).go()
    assert [row for row in report.rows if "not measured" in row] == []


def test_an_arm_without_its_environment_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It reports a reason instead of a figure, and the run goes on."""
    monkeypatch.setattr(environments, "ENVIRONMENTS", tmp_path / "envs")
    report = command.Run(smoke(), PEERS[:1], OPTIONS).go()
    assert report.rows[0]["not measured"] == "no environment: make bench-engine makes it"
