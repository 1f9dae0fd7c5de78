"""The gateway benchmark: its figures, and every arm that this machine has with a handful of checks."""

import hashlib
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from bench.engine import environments
from bench.gateway import __main__ as command
from bench.gateway import material, summary
from bench.gateway.arms import ARMS, PEERS, Arm, named
from bench.gateway.load import Outcome
from bench.gateway.plan import full, smoke
from ostiary.v1.inference_pb2 import InferRequest, InferResponse
from ostiary.v1.moderation_pb2 import CheckRequest
from ostiary_gateway.verify import mismatch

OWN = [arm for arm in ARMS if arm.name in ("direct", "proxy", "ours")]
PEER_ARMS = [arm for arm in ARMS if arm not in OWN]
MIDDLE = "closed 16, 200 KB"


def cell(name: str, rate: float, latencies: list[float], **more: Any) -> dict[str, Any]:
    """What one arm reached in one cell of one repeat."""
    rest = {"failed": {}, "load_cores": 0.5, "server_ms": 1.0, "pod_ms": 0.5, "peak_mb": 100.0}
    return {"cell": name, "rate": rate, "latencies": latencies, **rest, **more}


def measured(ours: float = 90.0, added: float = 0.001) -> dict[str, list[dict[str, Any]]]:
    """Two repeats of all arms whose figures bars are made of."""
    half = "half load, 200 KB"
    return {
        "direct": [{"cells": [cell(MIDDLE, 200.0, [0.01]), cell(half, 45.0, [0.010] * 99 + [0.020])]}] * 2,
        "proxy": [{"cells": [cell(MIDDLE, 100.0, [0.01])]}, {"cells": [cell(MIDDLE, 50.0, [0.01])]}],
        "ray": [{"cells": [cell(MIDDLE, 20.0, [0.1])]}] * 2,
        "litserve": [{"unavailable": "no environment"}] * 2,
        "ours": [
            {"cells": [cell(MIDDLE, ours, [0.01]), cell(half, 45.0, [0.010 + added] * 100)]},
            {"cells": [cell(MIDDLE, ours / 2, [0.01]), cell("closed 64, 2 MB", 9.0, [0.5], peak_mb=340.0)]},
        ],
    }


def test_bars_compare_the_arms_of_one_repeat() -> None:
    """A machine that was half as fast in one repeat changes no ratio; percentiles are over all repeats."""
    bars = {bar.name: bar for bar in summary.bars(measured(), full())}
    assert bars[f"{MIDDLE}: × the bare proxy"].value == pytest.approx(0.9)
    assert bars["half load, 200 KB: added p50, ms"].value == pytest.approx(1.0)
    assert bars["half load, 200 KB: added p99, ms"].value == pytest.approx(1.0)
    assert bars["closed 64, 2 MB: resident MB of the process"].value == 340.0
    assert all(bar.met for bar in bars.values())


@pytest.mark.parametrize(
    ("units", "missed"),
    [
        pytest.param(measured(ours=70.0), f"{MIDDLE}: × the bare proxy", id="slower than the proxy allows"),
        pytest.param(measured(ours=30.0), f"{MIDDLE}: × the better Python peer", id="near the peer"),
        pytest.param(measured(added=0.003), "half load, 200 KB: added p50, ms", id="adds too much"),
        pytest.param({"ours": []}, "half load, 200 KB: added p99, ms", id="nothing measured"),
    ],
)
def test_bars_that_are_missed(units: dict[str, list[dict[str, Any]]], missed: str) -> None:
    """What is too slow, or was not measured, does not count as reached."""
    assert not next(bar for bar in summary.bars(units, full()) if bar.name == missed).met


def test_rows_name_what_was_not_measured() -> None:
    """An arm that could not run has its reason once; the others have a row for each cell."""
    rows = summary.rows(measured(), full())
    assert [row["not measured"] for row in rows if row["arm"] == "litserve"] == ["no environment"]
    assert next(row for row in rows if row["arm"] == "proxy")["checks/s"] == pytest.approx(75.0)


def test_an_outcome_tells_refusals_from_failures() -> None:
    """What was refused for want of room is timed by itself."""
    outcome = Outcome(
        1.0, 0.1, [(0.0, 0.2, "ok"), (0.1, 0.01, "RESOURCE_EXHAUSTED"), (0.2, 1.0, "CANCELLED")]
    )
    assert (outcome.latencies, outcome.refused) == ([0.2], [0.01])
    assert outcome.failed == {"RESOURCE_EXHAUSTED": 1, "CANCELLED": 1}
    assert outcome.after(0.1).latencies == []


def test_requests_and_replies_fit_together() -> None:
    """A keyed request is still the same check, and the stub's reply is one that the gateway accepts."""
    data = material.image(20_000, 1)
    request = CheckRequest.FromString(material.keyed(material.check_body(data), "key"))
    assert (request.idempotency_key, request.images[0].data) == ("key", data)
    sent = InferRequest.FromString(material.infer_body(data))
    answer = InferResponse.FromString(material.replies()[material.tag_of(sent.check_request)])
    assert mismatch([hashlib.sha256(data).digest()], answer) is None
    assert material.tag_of(b"another image") == b""


def test_arms_by_name() -> None:
    """In the table's order; a name that there is not is named."""
    assert [arm.name for arm in named(["ours", "direct"])] == ["direct", "ours"]
    with pytest.raises(ValueError, match="no such arm: apache"):
        named(["apache"])


def test_the_pod_the_proxy_and_the_gateway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is started, asked under mutual TLS, watched and stopped; every check through ours is ALLOW."""
    monkeypatch.setattr(command, "WORK", tmp_path)
    report = command.Run(smoke(), OWN).go()
    assert {row["arm"] for row in report.rows} == {"direct", "proxy", "ours"}
    assert all(row["failed"] == 0 and row["checks"] > 0 for row in report.rows)
    assert all(row["CPU ms/check"] > 0 for row in report.rows if row["arm"] != "direct")
    again = command.Run(smoke(), OWN, resume=True).go()
    assert again.rows == report.rows, "what was measured is kept"


@pytest.mark.parametrize("arm", PEER_ARMS, ids=lambda arm: arm.name)
def test_a_peer_answers(arm: Arm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is at hand, it is started and sends checks on."""
    reason = arm.missing()
    if arm.environment and not os.environ.get("OSTIARY_BENCH_PEERS"):
        reason = reason or "starts slowly; OSTIARY_BENCH_PEERS=1 runs it"
    if reason:
        pytest.skip(f"{arm.name}: {reason}")
    monkeypatch.setattr(command, "WORK", tmp_path)
    report = command.Run(smoke(), [arm]).go()
    assert all("not measured" not in row and row["failed"] == 0 for row in report.rows)


def test_an_arm_without_its_environment_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It reports a reason instead of a figure."""
    monkeypatch.setattr(environments, "ENVIRONMENTS", tmp_path / "envs")
    monkeypatch.setattr(shutil, "which", lambda name: None)
    reasons = {arm.name: arm.missing() for arm in ARMS}
    assert reasons["ray"] == "no environment: make bench-gateway makes it"
    assert "install Debian's package" in (reasons["nginx"] or "")
    assert PEERS.joinpath("requirements-gateway-ray.txt").exists()
