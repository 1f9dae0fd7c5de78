"""`ostiary policy replay` over a store and over an export: flips, budgets, and what cannot be tried."""

import asyncio
import json
import shlex
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import MessageToJson
from typer.testing import CliRunner, Result

from gateway import sights
from gateway.site import Site
from gateway.test_rejudging import CONTACT, kept
from ostiary.v1.audit_pb2 import CaseSummary, GetCaseResponse
from ostiary.v1.listing_pb2 import Listing
from ostiary.v1.record_pb2 import DecisionRecord
from ostiary_gateway.cli.policy import app
from ostiary_gateway.cli.policy_replay import Budget
from ostiary_gateway.cli.replay_run import PolicyFiles
from ostiary_gateway.cli.replay_sources import ExportPart
from ostiary_gateway.policy.decide import Subject
from ostiary_gateway.recorder import NewDecision
from ostiary_gateway.rejudging import FlipTally
from ostiary_gateway.store.history import Period
from ostiary_gateway.store.opening import open_recorder

START = datetime(2026, 11, 1, tzinfo=UTC)
CHECKS = 40
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


def records(site: Site) -> list[DecisionRecord]:
    """Decisions by the site's policy: one in four blocked, one in ten of something vintage."""
    policy = PolicyFiles(site.folder / "policy.yaml").load()
    made = []
    for number in range(CHECKS):
        seen = sights.merged(sights.clean(), *([CONTACT] if number % 4 == 0 else []))
        title = "Vintage cup" if number % 10 == 1 else "Cup"
        listing = Listing(title=title, seller=f"s{number % 5}", category="home")
        record = kept(Subject(listing, 1, seen, START + timedelta(hours=number)), policy)
        record.check_id = f"check-{number}"
        made.append(record)
    return made


@pytest.fixture
async def store(site: Site) -> Site:
    """A site whose record holds the decisions, recorded an hour apart."""
    clock = iter(START + timedelta(hours=number) for number in range(CHECKS))
    async with open_recorder(
        store=site.folder / "data/ostiary.db",
        log_dir=site.folder / "log",
        log_key=site.folder / "log.key",
        origin="ostiary.local/log",
        clock=lambda: next(clock),
    ) as recorder:
        new = [
            NewDecision(
                check_id=each.check_id,
                tenant="demo" if number % 2 else "other",
                caller="spiffe://ostiary.local/tenant/demo/role/pipeline",
                idempotency_key="",
                request_sha256=b"r" * 32,
                listing=each.listing,
                response=each.response,
                observations=each.observations,
                trace_id="",
            )
            for number, each in enumerate(records(site))
        ]
        await asyncio.gather(*map(recorder.record, new))
    site.settings()
    return site


@pytest.fixture
def export(site: Site, tmp_path: Path) -> Path:
    """The same as an export."""
    path = tmp_path / "cases.jsonl"
    lines = [
        MessageToJson(
            GetCaseResponse(
                summary=CaseSummary(check_id=each.check_id),
                response=each.response,
                observations=each.observations,
                listing=each.listing,
            ),
            indent=None,
        )
        for each in records(site)
    ]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


@pytest.fixture
def milder(site: Site, tmp_path: Path) -> Path:
    """A policy that asks a person where the site's blocks."""
    text = (site.folder / "policy.yaml").read_text(encoding="utf-8")
    path = tmp_path / "milder.yaml"
    path.write_text(text.replace("ACTION_BLOCK", "ACTION_REVIEW"), encoding="utf-8")
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["replay", "--workers", "1", *map(str, arguments)])


def found(result: Result) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(result.stdout)
    return document


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_store(store: Site, milder: Path, workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Flips by verdict, label, category and seller; several processes find what one finds."""
    monkeypatch.setattr("ostiary_gateway.cli.replay_sources._ENTRIES", 7)
    config = store.folder / "gateway.yaml"
    told = run("--policy", milder, "--config", config, "--json", "--examples", 2, "--workers", workers)
    assert told.exit_code == 0, told.stderr
    document = found(told)
    assert (document["checks"], document["decided_in_full"], document["flips"]) == (CHECKS, 0, 10)
    assert {"before": "BLOCK", "after": "REVIEW", "checks": 10} in document["verdicts"]
    assert document["labels"] == {"prohibited_ads/contact_details": 10}
    assert document["categories"] == {"home": 10}
    assert document["sellers"] == {f"s{number}": 2 for number in range(5)}
    assert len(document["examples"]) == 2


async def test_an_export_is_judged_alike(
    store: Site, export: Path, milder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a store, in parts that begin anywhere in a line; with the old policy at hand it is quicker."""
    monkeypatch.setattr("ostiary_gateway.cli.replay_sources._BYTES", 1000)
    of_store = found(run("--policy", milder, "--config", store.folder / "gateway.yaml", "--json"))
    slow = found(run("--policy", milder, "--export", export, "--json"))
    against = store.folder / "policy.yaml"
    quick = found(run("--policy", milder, "--export", export, "--against", against, "--json"))
    assert (slow["decided_in_full"], quick["decided_in_full"]) == (CHECKS, 0)
    for document in (of_store, slow, quick):
        assert (document["checks"], document["flips"]) == (CHECKS, 10)
        assert document["labels"] == of_store["labels"]
        assert document["sellers"] == of_store["sellers"]


async def test_other_rules(store: Site, tmp_path: Path) -> None:
    """A pack that is tried is looked for in every text, named by the policy or not."""
    (tmp_path / "house.yaml").write_text(PACK, encoding="utf-8")
    policy, config = store.folder / "policy.yaml", store.folder / "gateway.yaml"
    document = found(run("--policy", policy, "--rules", tmp_path, "--config", config, "--json"))
    assert (document["flips"], document["decided_in_full"]) == (4, CHECKS)
    assert document["labels"] == {"prohibited_ads/absolute_claim": 4}


@pytest.mark.parametrize(
    ("budget", "code"),
    [("25%", 0), ("24.9%", 3), ("10", 0), ("9", 3), ("0", 3), ("100%", 0), ("", 0)],
    ids=repr,
)
async def test_a_budget_of_flips(store: Site, milder: Path, budget: str, code: int) -> None:
    """A share or a number, reached but not passed."""
    told = run("--policy", milder, "--config", store.folder / "gateway.yaml", "--flip-budget", budget)
    assert told.exit_code == code
    assert ("OVER the budget" in told.stdout) == (code == 3)
    assert "40 checks; 10 would be decided otherwise (25.000%)" in told.stdout


@pytest.mark.parametrize(
    ("options", "passed"),
    [
        (["--flip-budget", "25%"], True),
        (["--flip-budget", "9"], False),
        (["--since", "2027-01-01"], False),
    ],
    ids=["within", "over", "nothing was judged"],
)
async def test_a_report_for_a_gate(
    store: Site, milder: Path, tmp_path: Path, options: list[str], passed: bool
) -> None:
    """In a few words whether the budget holds; of nothing it cannot be said that it does."""
    report = tmp_path / "report"
    config = store.folder / "gateway.yaml"
    told = run("--policy", milder, "--config", config, "--report", report, *options)
    said = json.loads(report.read_bytes())
    assert said["passed"] is passed
    assert f"{said['flips']:,} of {said['checks']:,} checks would be decided otherwise" in said["words"]
    assert told.exit_code == (3 if "9" in options else 0)


@pytest.mark.parametrize(
    ("options", "checks"),
    [
        (["--since", "2026-11-02"], 16),
        (["--until", "2026-11-01T06:00:00Z"], 6),
        (["--since", "2026-11-01T06:00:00Z", "--until", "2026-11-01T08:00:00Z"], 2),
        (["--tenant", "other"], 20),
        (["--since", "2027-01-01"], 0),
    ],
    ids=str,
)
async def test_a_part_of_the_record(store: Site, milder: Path, options: list[str], checks: int) -> None:
    """By time and by tenant; nothing at all is within any budget."""
    config = store.folder / "gateway.yaml"
    told = run("--policy", milder, "--config", config, "--json", "--flip-budget", "100%", *options)
    assert (told.exit_code, found(told)["checks"]) == (0, checks)


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        ([], 2, "give --config"),
        (["--export", "EXPORT", "--flip-budget", "much"], 2, "--flip-budget: 'much' is no budget"),
        (["--export", "EXPORT", "--flip-budget", "101%"], 2, "is no budget"),
        (["--export", "EXPORT", "--since", "soon"], 2, "--since: 'soon' is no time"),
        (["--export", "nowhere.jsonl"], 1, "nowhere.jsonl is not a file"),
        (["--config", "nowhere.yaml"], 1, "nowhere.yaml"),
        (["--export", "EXPORT", "--rules", "nowhere"], 1, "nowhere"),
        (["--export", "EXPORT", "--against", "nowhere.yaml"], 1, "nowhere.yaml"),
    ],
    ids=str,
)
def test_what_cannot_be_tried(milder: Path, export: Path, options: list[str], code: int, words: str) -> None:
    """One line that names the option or the file."""
    told = run("--policy", milder, *(str(export) if each == "EXPORT" else each for each in options))
    assert (told.exit_code, told.stdout) == (code, "")
    assert words in told.stderr


def test_the_commands_of_the_page(
    store: Site, export: Path, milder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """docs/policy.md: on files of these names, each ends well, or with too many flips."""
    page = (Path(__file__).resolve().parents[2] / "docs/policy.md").read_text(encoding="utf-8")
    lines = [line for line in page.splitlines() if line.startswith("ostiary policy replay")]
    monkeypatch.chdir(store.folder.parent)
    for name, there in (
        ("new.yaml", milder),
        ("cases.jsonl", export),
        ("old.yaml", store.folder / "policy.yaml"),
    ):
        if not Path(name).exists():
            Path(name).symlink_to(there)
    Path("packs").mkdir()
    Path("packs/house.yaml").write_text(PACK, encoding="utf-8")
    assert [run(*shlex.split(line)[3:]).exit_code for line in lines] == [0, 0]


def test_a_bad_policy_is_told_by_its_file(export: Path, tmp_path: Path) -> None:
    """As the gateway would refuse it."""
    bad = tmp_path / "bad.yaml"
    bad.write_text("name: x\nversion: '1'\n", encoding="utf-8")
    told = run("--policy", bad, "--export", export)
    assert told.exit_code == 1
    assert f"{bad}: policies: name at least one" in told.stderr


def test_an_export_that_is_cut_short(export: Path, milder: Path) -> None:
    """It is refused, with the place: half a record is no basis for numbers."""
    export.write_bytes(export.read_bytes()[:-50])
    told = run("--policy", milder, "--export", export)
    assert told.exit_code == 1
    assert "is cut short" in told.stderr


def test_parts_of_an_export_join(export: Path) -> None:
    """Wherever a part begins, each line is read once."""
    whole = export.read_bytes()
    for size in (1, 97, len(whole) - 1, len(whole)):
        if size == 1:
            stops = [0, 1, 2, whole.index(b"\n"), whole.index(b"\n") + 1, len(whole)]
        else:
            stops = [*range(0, len(whole), size), len(whole)]
        found = [
            record.check_id
            for start, stop in pairwise(stops)
            for record in ExportPart(export, Period(), start, stop).records()
        ]
        assert found == [f"check-{number}" for number in range(CHECKS)]


@pytest.mark.parametrize("text", ["", "-1", "1.5", "1e3", "%", "0.5 %x"])
def test_no_budget(text: str) -> None:
    """Budgets are shares with a percent sign, or whole numbers."""
    with pytest.raises(ValueError, match="is no budget"):
        Budget.parse(text)


def test_no_checks_are_within_a_budget() -> None:
    """Nothing flips where there is nothing."""
    assert not Budget.parse("0%").exceeded_by(FlipTally())
    assert replace(Budget.parse("3"), count=0) == Budget.parse("0")
