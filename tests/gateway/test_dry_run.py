"""`ostiary rules dry-run` and `ostiary lists dry-run` over the record of a gateway that serves."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from typer import Typer
from typer.testing import CliRunner, Result

from gateway import sights
from gateway.hashes import lists
from gateway.scripted_pod import Script, truthful
from gateway.site import Running, Site
from ostiary.v1.image_pb2 import Image
from ostiary.v1.inference_pb2 import InferResponse
from ostiary.v1.listing_pb2 import Listing
from ostiary.v1.moderation_pb2 import CheckRequest
from ostiary.v1.observation_pb2 import DetectorInfo, Observations, OcrSpan, PdqHash
from ostiary_gateway.cli.lists import app as lists_app
from ostiary_gateway.cli.rules import app as rules_app

PDQ = bytes.fromhex("f8f8f0cee0f4a84f06370a22038f63f0b36e2ed596621e1d33e6b39c4e9c9b22")
HASHES = DetectorInfo(name="hashes", completed=True)
PACK = """
name: house
version: "1"
rules:
  - id: house.vintage
    policy: prohibited_ads
    label: absolute_claim
    severity: review
    patterns: ['vintage']
    seller_reason: Say when it was made.
    matches: ['real vintage']
    ignores: ['new']
"""


def answer(request: CheckRequest) -> InferResponse:
    """A pod that reads what the title of the listing says, and hashes a known image."""
    seen = Observations(detectors=[HASHES], pdq=[PdqHash(hash=bytes(32), quality=100)])
    if "known" in request.listing.title:
        seen.pdq[0].hash = PDQ
    if "printed" in request.listing.title:
        seen.ocr.append(OcrSpan(text="微信：abc12345", region=sights.region()))
    return truthful(request, seen)


TITLES = ("Cup", "Cup, printed", "Vintage cup", "Cup, known", "Vintage cup, printed")
TENANTS = ("pipeline", "stranger")


@pytest.fixture
async def recording(site: Site, script: Script) -> AsyncIterator[Running]:
    """A gateway that has recorded a check of each title for the tenant demo, and one for another."""
    script.answer = answer
    async with site.start() as running:
        for who, titles in zip(TENANTS, (TITLES, TITLES[2:3]), strict=True):
            for title in titles:
                request = CheckRequest(images=[Image(data=b"image")], listing=Listing(title=title))
                await running.as_(who).Check(request, timeout=10)
        yield running


async def run(app: Typer, *arguments: object) -> Result:
    """The command in a thread, while the gateway goes on serving."""
    return await asyncio.to_thread(CliRunner().invoke, app, ["dry-run", *map(str, arguments)])


def told(result: Result) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The checks that change, and the summary."""
    *checks, last = [json.loads(line) for line in result.stdout.splitlines()]
    return checks, last["summary"]


def fingerprint(folder: Path) -> dict[str, str]:
    """Every file below the folder, but for SQLite's index of its log, which readers share."""
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".db-shm"
    }


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    path = tmp_path / "house.yaml"
    path.write_text(PACK, encoding="utf-8")
    return path


async def test_a_new_pack(recording: Running, site: Site, pack: Path) -> None:
    """Checks that would go from ALLOW to REVIEW are told with the rule; the gateway serves on, untouched."""
    before = fingerprint(site.folder / "data")
    result = await run(rules_app, pack, "--config", site.folder / "gateway.yaml", "--json")
    assert result.exit_code == 3, result.output
    checks, summary = told(result)
    assert [(check["before"], check["after"], check["tenant"]) for check in checks] == [
        ("ALLOW", "REVIEW", "demo"),
        ("BLOCK", "BLOCK", "demo"),
        ("ALLOW", "REVIEW", "other"),
    ]
    assert checks[0]["gained"] == [
        {
            "by": "house house.vintage",
            "policy": "prohibited_ads",
            "label": "absolute_claim",
            "action": "REVIEW",
        }
    ]
    assert (summary["checks"], summary["verdict_changes"], summary["changes"]) == (6, 2, 3)
    assert summary["recorded_otherwise"] == 0
    assert {"before": "ALLOW", "after": "REVIEW", "checks": 2} in summary["verdicts"]
    assert {"by": "house house.vintage", "before": 0, "after": 3} in summary["hits"]
    assert fingerprint(site.folder / "data") == before
    request = CheckRequest(images=[Image(data=b"image")], listing=Listing(title="Cup"))
    await recording.as_("pipeline").Check(request, timeout=10)


async def test_what_people_are_told(recording: Running, site: Site, pack: Path) -> None:
    """Verdicts, what finds more or less, and as many of the checks as asked for."""
    result = await run(rules_app, pack, "--config", site.folder / "gateway.yaml", "--limit", 1)
    assert result.exit_code == 3
    assert "6 checks; 2 would be decided otherwise" in result.stdout
    assert "ALLOW  → REVIEW" in result.stdout
    assert "house house.vintage" in result.stdout
    assert "+ REVIEW prohibited_ads/absolute_claim by house house.vintage" in result.stdout
    assert "and 2 more that change" in result.stdout


async def test_a_changed_pack(recording: Running, site: Site, tmp_path: Path) -> None:
    """A candidate takes the place of the pack of its name: what it no longer finds is told."""
    weaker = tmp_path / "diversion.yaml"
    weaker.write_text(PACK.replace("name: house", "name: diversion"), encoding="utf-8")
    result = await run(rules_app, weaker, "--config", site.folder / "gateway.yaml", "--json")
    checks, summary = told(result)
    assert result.exit_code == 3
    assert {(check["before"], check["after"]) for check in checks} == {
        ("BLOCK", "ALLOW"),
        ("BLOCK", "REVIEW"),
        ("ALLOW", "REVIEW"),
    }
    assert {"by": "diversion contact.wechat", "before": 2, "after": 0} in summary["hits"]


async def test_another_policy(recording: Running, site: Site, tmp_path: Path) -> None:
    """Steps and thresholds can be tried like packs."""
    text = (site.folder / "policy.yaml").read_text(encoding="utf-8")
    milder = tmp_path / "milder.yaml"
    milder.write_text(text.replace("ACTION_BLOCK", "ACTION_REVIEW"), encoding="utf-8")
    config = ("--config", site.folder / "gateway.yaml")
    checks, _ = told(await run(rules_app, "--policy", milder, *config, "--json"))
    assert [(check["before"], check["after"]) for check in checks] == [("BLOCK", "REVIEW")] * 2
    result = await run(rules_app, "--policy", site.folder / "policy.yaml", *config)
    assert (result.exit_code, "0 would be decided otherwise" in result.stdout) == (0, True)


async def test_new_lists(recording: Running, site: Site, tmp_path: Path) -> None:
    """A folder of lists in place of those in force."""
    folder = tmp_path / "candidates"
    folder.mkdir()
    (folder / "fakes.yaml").write_bytes(lists.header(name="fakes"))
    (folder / "fakes.csv").write_bytes(lists.rows([{"hash": PDQ.hex()}]))
    result = await run(lists_app, folder, "--config", site.folder / "gateway.yaml", "--json")
    checks, summary = told(result)
    assert result.exit_code == 3, result.output
    [check] = checks
    assert (check["before"], check["after"]) == ("ALLOW", "BLOCK")
    assert check["gained"][0]["by"] == "list fakes"
    assert {"by": "list fakes", "before": 0, "after": 1} in summary["hits"]


@pytest.mark.parametrize(
    ("options", "checks"),
    [
        (("--tenant", "other"), 1),
        (("--tenant", "nobody"), 0),
        (("--since", "2020-01-01"), 6),
        (("--until", "2020-01-01T00:00:00Z"), 0),
    ],
    ids=["a tenant", "no such tenant", "since", "until"],
)
async def test_some_of_the_record(
    recording: Running, site: Site, pack: Path, options: tuple[str, ...], checks: int
) -> None:
    """By time and by tenant."""
    result = await run(rules_app, pack, "--config", site.folder / "gateway.yaml", "--json", *options)
    assert told(result)[1]["checks"] == checks
    assert result.exit_code == (3 if checks else 0)


async def test_the_record_of_a_gateway_that_is_down(site: Site, script: Script, pack: Path) -> None:
    """Nothing is written then either, not even what SQLite leaves beside a database."""
    script.answer = answer
    async with site.start() as running:
        request = CheckRequest(images=[Image(data=b"image")], listing=Listing(title="Vintage cup"))
        await running.as_("pipeline").Check(request, timeout=10)
    before = fingerprint(site.folder)
    result = await run(rules_app, pack, "--config", site.folder / "gateway.yaml", "--json")
    assert told(result)[1]["verdict_changes"] == 1
    assert fingerprint(site.folder) == before


async def test_what_cannot_be_tried(site: Site, pack: Path, tmp_path: Path) -> None:
    """A bad candidate and a missing record are said with file and reason: exit code 1. A bad call: 2."""
    site.settings()
    config = ("--config", site.folder / "gateway.yaml")
    missing = await run(rules_app, pack, *config)
    assert (missing.exit_code, "ostiary.db is not a file" in missing.stderr) == (1, True)
    bad = tmp_path / "bad.yaml"
    bad.write_text(PACK.replace("'vintage'", "'vintage('"), encoding="utf-8")
    refused = await run(rules_app, bad, *config)
    assert (refused.exit_code, f"{bad}:9: " in refused.stdout) == (1, True)
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists/fakes.csv").write_text("hash\n")
    unread = await run(lists_app, tmp_path / "lists", *config)
    assert (unread.exit_code, "fakes.yaml" in unread.stderr) == (1, True)
    for arguments in (
        config,
        (pack, "--config", tmp_path / "none.yaml"),
        (pack, *config, "--since", "yesterday"),
        (pack, *config, "--limit", "-1"),
    ):
        assert (await run(rules_app, *arguments)).exit_code == 2


async def test_a_file_that_is_no_record(site: Site, pack: Path) -> None:
    """It is refused in words."""
    settings = site.settings()
    settings.store.parent.mkdir(parents=True, exist_ok=True)
    settings.store.write_bytes(b"no database at all, and long enough to be taken for one" * 20)
    result = await run(rules_app, pack, "--config", site.folder / "gateway.yaml")
    assert result.exit_code == 1
    assert "cannot be read as a record" in result.stderr


@pytest.mark.parametrize("app", [rules_app, lists_app], ids=["rules", "lists"])
def test_help_explains(app: Typer) -> None:
    """How it is called, and what its exit codes mean."""
    words = " ".join(CliRunner().invoke(app, ["dry-run", "--help"]).output.split())
    assert "dry-run" in words
    assert "Exit codes" in words
    assert "Example" in words
