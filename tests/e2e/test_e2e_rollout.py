"""The whole system on a sandbox cluster: keeper, two gateways and real pods with the shipped models, all of
them processes, while people ask all the time, and analyses judge by what the gateways count.
"""

import asyncio
import io
import itertools
import shutil
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml
from PIL import Image as Picture
from typer.testing import CliRunner

from bench.promises.estate import GATEWAY_ID
from bench.promises.fleet import MODEL, Fleet, fleet
from ostiary.v1.decision_pb2 import Verdict
from ostiary.v1.image_pb2 import Image
from ostiary.v1.moderation_pb2 import CheckRequest, CheckResponse
from ostiary.v1.moderation_pb2_grpc import ModerationServiceStub
from ostiary_moderation import bundles
from ostiary_moderation.bundle import measure_folder
from ostiary_operator.cluster import kinds
from ostiary_operator.kubectl.main import app
from scraped import scraping

SHIPPED = Path(bundles.__file__).parent
STEPS = {"canary": {"steps": [{"setWeight": 5000}, {"analysis": {"template": "canary"}}]}}
# Few checks come here: what is borne is much, and what is wrong is wrong with every check.
CANARY = {
    "minSamples": 8,
    "seconds": 150.0,
    "alpha": 0.2,
    "metrics": [
        {"name": "errors", "compare": {"figure": "errors", "margin": 0.4}},
        {"name": "codes", "compare": {"figure": "flags/qr_code", "harm": "Either", "margin": 0.4}},
    ],
}
PAUSE_SECONDS = 0.05
ASKERS = 2


@dataclass
class Answers:
    """What somebody was told who asks at both gateways in turn, and never twice."""

    running: Fleet
    by_bundle: Counter[bytes] = field(default_factory=Counter)
    policies: set[bytes] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)

    async def ask_on(self, first: int) -> None:
        """Until cancelled between two checks; no two askers send the same."""
        async with self.running.estate.channels() as channels:
            stubs = itertools.cycle(map(ModerationServiceStub, channels))
            for turn, stub in zip(itertools.count(first, ASKERS), stubs, strict=False):
                await asyncio.shield(self._ask(stub, turn))
                await asyncio.sleep(PAUSE_SECONDS)

    async def _ask(self, stub: ModerationServiceStub, turn: int) -> None:
        try:
            answer = await stub.Check(CheckRequest(images=[Image(data=shirt(turn))]), timeout=60)
        except grpc.aio.AioRpcError as error:
            self.wrong.append(f"{error.code().name}: {error.details()}")
            return
        self._note(answer)

    def _note(self, answer: CheckResponse) -> None:
        if answer.verdict == Verdict.VERDICT_HOLD:
            self.wrong.append(f"held: {[one.detail for one in answer.hold_reasons]}")
        self.by_bundle[answer.receipt.bundle.digest] += 1
        self.policies.add(answer.receipt.policy_sha256)


def shirt(turn: int) -> bytes:
    """Something of one colour on another; no two alike."""
    picture = Picture.new("RGB", (320, 320), (turn % 256, turn // 256 % 256, 180))
    picture.paste((200, 30, 30), (80, 80, 240, 260))
    data = io.BytesIO()
    picture.save(data, "PNG")
    return data.getvalue()


def alarmist(folder: Path) -> Path:
    """`mini` with a calibration by which every picture shows a QR code."""
    shutil.copytree(SHIPPED / "mini", folder)
    path = folder / "bundle.yaml"
    manifest: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    for question in manifest["questions"]:
        if question["id"] == "qr_code":
            question["calibration"]["intercept"] = 50.0
    path.write_text(yaml.safe_dump(manifest), encoding="utf-8")
    return folder


async def described(running: Fleet, bundles_: dict[str, Path]) -> dict[str, bytes]:
    """Bundles as versions, and one whose files are not what its digest says; what is looked at of each."""
    files = {"clients": [GATEWAY_ID], "health": None, "decode_workers": 1, "drain_seconds": 10.0}
    running.pods(
        ["python", "-m", "ostiary.cli", "pod", "serve", "--config"],
        files,
        {"OSTIARY_POD_LISTEN": "$(POD_IP):8543", "OMP_NUM_THREADS": "1"},
    )
    digests = {name: measure_folder(folder) for name, folder in bundles_.items()}
    for name, digest in (digests | {"torn": bytes(32)}).items():
        folder = bundles_.get(name, SHIPPED / "mini")
        artifact = {"uri": f"file://{folder}", "digest": f"sha256:{digest.hex()}"}
        await running.stage.version(name, checksPerSecond=100.0, artifact=artifact)
    await running.stage.put(kinds.ANALYSIS_TEMPLATES, {"metadata": {"name": "canary"}, "spec": CANARY})
    return digests


async def deploy(running: Fleet, version: str, patience: float = 240.0) -> None:
    await running.stage.deployment(version, replicas=1, strategy=STEPS, progressDeadlineSeconds=patience)


def judgement(running: Fleet, candidate: str) -> tuple[str, str]:
    """How the analysis of a version stands, and in what words."""
    for run in running.stage.all(kinds.ANALYSIS_RUNS):
        if run["spec"]["candidate"] == candidate:
            status = run.get("status") or {}
            return str(status.get("phase")), str(status.get("message"))
    return "", ""


def rollback(running: Fleet) -> str:
    """What somebody types."""
    config = running.stage.cluster.settings.folder / "kubeconfig"
    words = ["rollback", MODEL, "--reason", "trying", "--kubeconfig", str(config), "--namespace", "default"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    return done.output


async def rolled(running: Fleet, answers: Answers, digests: dict[str, bytes]) -> None:
    """A good version is promoted, two bad ones are taken back, and an order brings the first one back."""
    stage, told = running.stage, ("", "")

    def judged(candidate: str, phase: str) -> bool:
        nonlocal told
        told = judgement(running, candidate)
        return told[0] == phase

    await deploy(running, "mini")
    await stage.until(lambda: judged("mini", "Successful"), 240.0)
    await running.serves("mini")
    await deploy(running, "alarmist")
    await stage.until(lambda: judged("alarmist", "Failed"), 240.0)
    assert "codes" in told[1]
    await stage.until(lambda: stage.status().get("rejected") == "alarmist", 30.0)
    await stage.until(lambda: stage.weights() == {"mini": 10_000}, 30.0)
    await deploy(running, "torn", patience=10.0)
    await stage.until(lambda: stage.status().get("rejected") == "torn", 90.0)
    assert stage.weights() == {"mini": 10_000}
    assert "mini-prev has all traffic" in await asyncio.to_thread(rollback, running)
    assert stage.weights() == {"mini-prev": 10_000}
    before = answers.by_bundle[digests["mini-prev"]]
    await stage.until(lambda: answers.by_bundle[digests["mini-prev"]] > before + 2, 60.0)


@pytest.mark.timeout(900)
async def test_models_roll_while_people_ask(tmp_path: Path) -> None:
    """A model is judged by what gateways count of it, and promoted; one that flags everything is stopped and
    taken back by its analysis, one whose files are not what its digest says never gets traffic; an order
    brings the first one back. Nobody notices: each check is judged, by a model that is named.
    """
    async with fleet(tmp_path, replicas=2) as running:
        ours = {name: SHIPPED / name for name in ("mini-prev", "mini")}
        digests = await described(running, ours | {"alarmist": alarmist(tmp_path / "alarmist")})
        async with scraping([one.metrics for one in running.estate.gateways]) as running.prometheus:
            await deploy(running, "mini-prev")
            await running.start("mini-prev")
            answers = Answers(running)
            asking = {asyncio.create_task(answers.ask_on(number)) for number in range(ASKERS)}
            try:
                await rolled(running, answers, digests)
            finally:
                for each in asking:
                    each.cancel()
                await asyncio.wait(asking)
        assert not answers.wrong
        assert set(answers.by_bundle) == set(digests.values())
        assert len(answers.policies) == 1
        assert all(answers.policies)
        assert not running.stage.status()["since"].startswith("1970")
