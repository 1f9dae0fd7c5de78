"""A gateway from start to stop: what keeps it from starting, what it takes up, what a dead store means."""

import asyncio
import json
import shutil
import signal
import sqlite3
import sys
from pathlib import Path

import grpc
import pytest
import yaml
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthStub
from typer.testing import CliRunner

from gateway.scripted_pod import Script
from gateway.site import Running, Site
from ostiary.v1.decision_pb2 import Verdict
from ostiary.v1.image_pb2 import Image
from ostiary.v1.listing_pb2 import Listing
from ostiary.v1.moderation_pb2 import CheckRequest
from ostiary.v1.moderation_pb2_grpc import ModerationServiceStub
from ostiary.wire.channel import open_channel
from ostiary.wire.errors import OstiaryError, Reason, from_rpc_error
from ostiary_gateway.cli import app

CHECK = CheckRequest(images=[Image(data=b"image")], listing=Listing(title="lilyshop.com"))


async def refusal(running: Running) -> OstiaryError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await running.as_("pipeline").Check(CHECK, timeout=10)
    return from_rpc_error(caught.value)


async def test_health_says_serving(running: Running) -> None:
    """Probes need no certificate."""
    assert running.server.health_address
    async with grpc.aio.insecure_channel(running.server.health_address) as channel:
        answer = await HealthStub(channel).Check(health_pb2.HealthCheckRequest())  # type: ignore[attr-defined]
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("roles.yaml", "roles.yaml"),
        ("route.yaml", "route.yaml"),
        ("policy.yaml", "policy.yaml"),
        ("log.key", "log.key is missing"),
        ("evidence.key", "evidence.key cannot be read .*: make it with `ostiary gateway init`"),
    ],
)
async def test_a_missing_file_keeps_it_from_starting(site: Site, name: str, words: str) -> None:
    """The message names the file."""
    (site.folder / name).unlink()
    with pytest.raises(ValueError, match=words):
        async with site.start():
            pass


async def test_a_method_without_a_rule_keeps_it_from_starting(site: Site) -> None:
    """Roles that forget a method are no way to open or close it."""
    roles = yaml.safe_load((site.folder / "roles.yaml").read_text(encoding="utf-8"))
    roles["roles"]["pipeline"].remove("ModerationService/CheckStream")
    site.write("roles.yaml", roles)
    with pytest.raises(ValueError, match=r"no rule of the authoriser names .*CheckStream"):
        async with site.start():
            pass


async def test_a_policy_is_taken_up_while_it_runs(site: Site, running: Running) -> None:
    """The next check after a second is judged under the new one, and its receipt says so."""
    before = await running.as_("pipeline").Check(CHECK, timeout=10)
    assert before.verdict == Verdict.VERDICT_REVIEW
    path = site.folder / "policy.yaml"
    text = path.read_text(encoding="utf-8").replace("threshold: 0.5", "threshold: 0.8")
    path.write_text(text.replace('version: "1"', 'version: "2"'), encoding="utf-8")
    while (after := await running.as_("pipeline").Check(CHECK, timeout=10)).receipt.policy != "default@2":
        assert after.verdict == Verdict.VERDICT_REVIEW
    assert after.verdict == Verdict.VERDICT_ALLOW
    assert after.receipt.policy_sha256 != before.receipt.policy_sha256


async def test_a_dead_database_gives_no_verdict(site: Site, running: Running) -> None:
    """Nothing is answered that cannot be recorded."""
    with sqlite3.connect(site.folder / "data/ostiary.db") as database:
        database.execute("DROP TABLE decisions")
    error = await refusal(running)
    assert (error.reason, error.code) == (Reason.STORE_UNAVAILABLE, grpc.StatusCode.UNAVAILABLE)


async def test_a_dead_evidence_store_gives_no_verdict(site: Site, running: Running) -> None:
    """A verdict whose evidence is lost cannot be explained later."""
    (site.folder / "evidence").write_text("not a folder")
    assert (await refusal(running)).reason is Reason.STORE_UNAVAILABLE


async def test_the_record_survives_a_restart(site: Site, script: Script) -> None:
    """A key that was used before the restart is answered from the record after it."""
    check = CheckRequest(images=[Image(data=b"image")], idempotency_key="k")
    async with site.start() as running:
        before = await running.as_("pipeline").Check(check, timeout=10)
    async with site.start() as running:
        after = await running.as_("pipeline").Check(check, timeout=10)
    assert after.replayed
    assert (after.check_id, after.receipt.leaf_hash) == (before.check_id, before.receipt.leaf_hash)
    assert len(script.asked) == 1


def test_init_writes_what_is_missing_and_nothing_else(tmp_path: Path) -> None:
    """A second run leaves edits alone and puts back what was lost."""
    runner = CliRunner()
    folder = tmp_path / "gateway"
    first = runner.invoke(app, ["init", str(folder), "--trust-domain", "shop.example"])
    assert first.exit_code == 0
    assert {path.name for path in folder.iterdir()} == {
        "roles.yaml",
        "policy.yaml",
        "lists",
        "brands",
        "log.key",
        "log.vkey",
        "evidence.key",
    }
    assert (folder / "evidence.key").stat().st_mode & 0o777 == 0o600
    roles = (folder / "roles.yaml").read_text(encoding="utf-8")
    assert "spiffe://shop.example/tenant/{tenant}/role/pipeline" in roles
    (folder / "roles.yaml").write_text("edited", encoding="utf-8")
    (folder / "policy.yaml").unlink()
    second = runner.invoke(app, ["init", str(folder)])
    assert second.output.split() == ["wrote", str(folder / "policy.yaml")]
    assert (folder / "roles.yaml").read_text(encoding="utf-8") == "edited"
    assert "nothing to write" in runner.invoke(app, ["init", str(folder)]).output


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("listen: 127.0.0.1:0", "tls: field required"),
        ("lisen: 127.0.0.1:0", "lisen: there is no such key"),
        (None, "cannot be read"),
    ],
)
def test_serve_refuses_bad_settings_in_words(tmp_path: Path, text: str | None, words: str) -> None:
    """The file and the key are named; the exit code says configuration."""
    config = tmp_path / "gateway.yaml"
    if text:
        config.write_text(text, encoding="utf-8")
    result = CliRunner().invoke(app, ["serve", "--config", str(config)])
    assert result.exit_code == 2
    assert words in result.output
    assert "gateway.yaml" in result.output


def test_help_shows_examples() -> None:
    """Each command says how it is called."""
    for arguments in (["--help"], ["init", "--help"], ["serve", "--help"]):
        assert "ostiary gateway" in CliRunner().invoke(app, arguments).output


async def test_a_lost_evidence_folder_is_made_again(site: Site, running: Running) -> None:
    """Nothing but the lost images is lost."""
    await running.as_("pipeline").Check(CHECK, timeout=10)
    shutil.rmtree(site.folder / "evidence")
    assert (await running.as_("pipeline").Check(CHECK, timeout=10)).receipt.log_index == 1


async def test_the_process_serves_until_it_is_told_to_stop(site: Site) -> None:
    """`ostiary gateway serve` logs one ready line with the real address, and ends in order on SIGTERM."""
    site.settings()
    command = [sys.executable, "-m", "ostiary.cli", "gateway", "serve", "--config", "gateway.yaml"]
    process = await asyncio.create_subprocess_exec(
        *command, cwd=site.folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    assert process.stdout
    async for line in process.stdout:
        event = json.loads(line)
        if event["event"] == "ready":
            break
    credentials = site.people.credentials("pipeline")
    async with open_channel(event["address"], credentials, server_name="gateway.ostiary.local") as channel:
        answer = await ModerationServiceStub(channel).Check(CHECK, timeout=10)
    assert answer.verdict == Verdict.VERDICT_REVIEW
    process.send_signal(signal.SIGTERM)
    await process.communicate()
    assert process.returncode == 0
