"""The whole system on a sandbox cluster: keeper, two gateways and real pods with the shipped models, all of
them processes, while somebody asks all the time.
"""

import asyncio
import io
import itertools
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import pytest
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
from ostiary_operator.kubectl.main import app

SHIPPED = Path(bundles.__file__).parent
STEPS = {"canary": {"steps": [{"setWeight": 1000}, {"pauseSeconds": 0.5}, {"setWeight": 5000}]}}
PAUSE_SECONDS = 0.1


@dataclass
class Answers:
    """What somebody was told who asks at both gateways in turn, and never twice."""

    running: Fleet
    by_bundle: Counter[bytes] = field(default_factory=Counter)
    policies: set[bytes] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)

    async def ask_on(self) -> None:
        """Until cancelled between two checks."""
        async with self.running.estate.channels() as channels:
            for turn, stub in enumerate(itertools.cycle(map(ModerationServiceStub, channels))):
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


async def described(running: Fleet) -> dict[str, bytes]:
    """Both shipped models, and one that lies nowhere, as versions; what is looked at of each."""
    files = {"clients": [GATEWAY_ID], "health": None, "decode_workers": 1, "drain_seconds": 10.0}
    running.pods(
        ["python", "-m", "ostiary.cli", "pod", "serve", "--config"],
        files,
        {"OSTIARY_POD_LISTEN": "$(POD_IP):8543", "OMP_NUM_THREADS": "1"},
    )
    digests = {name: measure_folder(SHIPPED / name) for name in ("mini-prev", "mini")}
    for name, digest in (digests | {"broken": bytes(32)}).items():
        artifact = {"uri": f"file://{SHIPPED / name}", "digest": f"sha256:{digest.hex()}"}
        await running.stage.version(name, checksPerSecond=100.0, artifact=artifact)
    return digests


async def deploy(running: Fleet, version: str, patience: float = 240.0) -> None:
    await running.stage.deployment(version, replicas=1, strategy=STEPS, progressDeadlineSeconds=patience)


def rollback(running: Fleet) -> str:
    """What somebody types."""
    config = running.stage.cluster.settings.folder / "kubeconfig"
    words = ["rollback", MODEL, "--reason", "trying", "--kubeconfig", str(config), "--namespace", "default"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.timeout(600)
async def test_models_roll_while_somebody_asks(tmp_path: Path) -> None:
    """A model rolls in steps and is promoted; one that never starts gets no traffic and is taken back; an
    order brings the first one back. Nobody notices: each check is judged, by a model that is named.
    """
    async with fleet(tmp_path, replicas=2) as running:
        digests = await described(running)
        await deploy(running, "mini-prev")
        await running.start("mini-prev")
        answers = Answers(running)
        asking = asyncio.create_task(answers.ask_on())
        try:
            await deploy(running, "mini")
            await running.serves("mini")
            await deploy(running, "broken", patience=10.0)
            await running.stage.until(lambda: running.stage.status().get("rejected") == "broken", 90.0)
            assert running.stage.weights() == {"mini": 10_000}
            told = await asyncio.to_thread(rollback, running)
            assert "mini-prev has all traffic" in told
            assert running.stage.weights() == {"mini-prev": 10_000}
            before = answers.by_bundle[digests["mini-prev"]]
            await running.stage.until(lambda: answers.by_bundle[digests["mini-prev"]] > before + 2, 60.0)
        finally:
            asking.cancel()
            await asyncio.wait({asking})
        assert not answers.wrong
        assert set(answers.by_bundle) == set(digests.values())
        assert len(answers.policies) == 1
        assert all(answers.policies)
