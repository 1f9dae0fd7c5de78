"""`ostiary audit evidence`, `erase` and `hold` against a gateway that serves."""

import asyncio
import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from gateway.scripted_pod import blurred_bytes, canonical_bytes
from gateway.site import DOMAIN, Running, Site, profile_of
from ostiary.cli.audit import app
from ostiary.v1.image_pb2 import Image
from ostiary.v1.listing_pb2 import Listing
from ostiary.v1.moderation_pb2 import CheckRequest
from ostiary_gateway.settings import EvidenceSettings, KeepSettings

Ask = Callable[..., "asyncio.Future[Result]"]
PAGE = (Path(__file__).resolve().parents[3] / "docs/record.md").read_text("utf-8")


@pytest.fixture
def ask(site: Site, running: Running, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Ask:
    """Runs `ostiary audit` as the lead auditor, or as the compliance administrator, beside the gateway."""
    # The gateway logs from this process too, to what is there when the command has ended.
    monkeypatch.setattr("ostiary.cli.audit.desk.configure_logs", lambda service, style: None)
    monkeypatch.chdir(tmp_path)
    admin = profile_of(site, running)
    site.people.issue("lead", "/tenant/demo/role/lead-auditor")
    lead = site.people.folder / "lead" / "profile.yaml"
    lead.write_text((admin / "profile.yaml").read_text("utf-8"), "utf-8")

    async def run(command: str, *arguments: object, who: str = "lead") -> Result:
        profile = lead if who == "lead" else admin
        line = [command, "--profile", str(profile), *map(str, arguments)]
        return await asyncio.to_thread(CliRunner(env={"COLUMNS": "300"}).invoke, app, line)

    return run


@pytest.fixture
async def check_id(running: Running) -> str:
    """A check with one image, on record."""
    request = CheckRequest(images=[Image(data=b"image")], listing=Listing(title="Cup"))
    return str((await running.as_("pipeline").Check(request, timeout=10)).check_id)


async def test_evidence_is_written_blurred(ask: Ask, check_id: str, tmp_path: Path) -> None:
    """To a file of its own name, for its owner alone; what is there is not written over by chance."""
    told = await ask("evidence", check_id)
    assert told.exit_code == 0, told.stderr
    path = tmp_path / f"{check_id}-0-blurred.jpg"
    assert path.read_bytes() == blurred_bytes(b"image")
    assert path.stat().st_mode & 0o077 == 0
    again = await ask("evidence", check_id)
    assert (again.exit_code, "write over it with --force" in again.stderr) == (2, True)
    assert (await ask("evidence", check_id, "--force")).exit_code == 0


async def test_evidence_as_it_is(ask: Ask, check_id: str, tmp_path: Path) -> None:
    """With a reason; programs are told what was written."""
    refused = await ask("evidence", check_id, "--unblurred")
    assert (refused.exit_code, "--reason" in refused.stderr) == (2, True)
    told = await ask("evidence", check_id, "--unblurred", "--reason", "ticket 7", "--out", "seen", "--json")
    assert json.loads(told.stdout) == {
        "file": "seen",
        "media_type": "image/png",
        "bytes": len(canonical_bytes(b"image")),
        "unblurred": True,
    }
    assert (tmp_path / "seen").read_bytes() == canonical_bytes(b"image")
    piped = await ask("evidence", check_id, "--out", "-")
    assert piped.stdout_bytes == blurred_bytes(b"image")


async def test_evidence_that_is_not_there(ask: Ask, check_id: str, tmp_path: Path) -> None:
    """No file is left behind, and the reason is told."""
    told = await ask("evidence", check_id, "--image", "3", "--out", "seen")
    assert (told.exit_code, "NOT_FOUND: The check has no readable image 3" in told.stderr) == (1, True)
    assert not (tmp_path / "seen").exists()


async def test_erase_asks_first(ask: Ask, check_id: str) -> None:
    """Where there is nobody to ask, nothing happens without --yes."""
    told = await ask("erase", check_id, "--reason", "x", who="admin")
    assert (told.exit_code, "confirm with --yes" in told.stderr) == (2, True)
    blank = await ask("erase", check_id, "--reason", " ", "--yes", who="admin")
    assert (blank.exit_code, "--reason is empty" in blank.stderr) == (2, True)
    assert (await ask("show", check_id)).exit_code == 0


async def test_hold_then_erase(ask: Ask, check_id: str) -> None:
    """A hold blocks it until it is lifted; then it is gone, and its case says so."""
    held = await ask("hold", check_id, "--reason", "case 7")
    assert held.exit_code == 0, held.stderr
    assert f"{check_id} is on legal hold: entry 1" in held.stdout
    blocked = await ask("erase", check_id, "--reason", "asked for", "--yes", who="admin")
    assert (blocked.exit_code, "FAILED_PRECONDITION: A legal hold stands" in blocked.stderr) == (1, True)
    lifted = await ask("hold", check_id, "--release", "--reason", "closed", "--json")
    assert json.loads(lifted.stdout)["kind"] == "released"
    erased = await ask("erase", check_id, "--reason", "asked for", "--yes", "--json", who="admin")
    event = json.loads(erased.stdout)
    assert (event["kind"], event["logIndex"], event["actor"]) == (
        "erased",
        "3",
        f"spiffe://{DOMAIN}/tenant/demo/role/compliance-admin",
    )
    shown = await ask("show", check_id)
    assert shown.exit_code == 0, shown.stderr
    assert "erased" in shown.stdout
    assert "Cup" not in shown.stdout


async def test_the_page_s_commands(ask: Ask, running: Running) -> None:
    """docs/record.md: what it says of evidence, holds and erasure runs as it stands there."""
    request = CheckRequest(images=[Image(data=b"one"), Image(data=b"two")])
    check_id = (await running.as_("pipeline").Check(request, timeout=10)).check_id
    lines = [line for line in PAGE.splitlines() if re.match("ostiary audit (evidence|hold|erase)", line)]
    assert len(lines) == 5
    for line in lines:
        words = shlex.split(line.replace("CHECK", check_id))
        at = words.index("--profile")
        who = "admin" if "compliance-admin" in words[at + 1] else "lead"
        more = ["--yes"] if words[2] == "erase" else []
        told = await ask(words[2], *words[3:at], *words[at + 2 :], *more, who=who)
        assert told.exit_code == 0, f"{line}: {told.output}"


def test_the_page_s_settings() -> None:
    """Of evidence and retention, as gateway.yaml takes them."""
    [text] = re.findall(r"```yaml\n(evidence:.*?)```", PAGE, re.DOTALL)
    settings = yaml.safe_load(text)
    evidence = EvidenceSettings.model_validate(settings["evidence"])
    assert evidence.s3 is not None
    assert evidence.s3.bucket == "ostiary-evidence"
    keeps = [KeepSettings.model_validate(rule).keep() for rule in settings["retention"]]
    assert [keep.days for keep in keeps] == [30, 365, None]


async def test_who_may_not(ask: Ask, check_id: str) -> None:
    """A role without the right is told so."""
    told = await ask("erase", check_id, "--reason", "x", "--yes")
    assert (told.exit_code, "PERMISSION_DENIED" in told.stderr) == (1, True)
    told = await ask("evidence", check_id, who="admin")
    assert (told.exit_code, "PERMISSION_DENIED" in told.stderr) == (1, True)
