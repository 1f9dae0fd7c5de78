"""`ostiary review` beside a gateway that serves."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import Result
from typer.testing import CliRunner

from gateway.review.conftest import check_id
from gateway.site import DOMAIN, Running, Site
from ostiary.v1.audit_pb2 import (
    RULING_OVERTURN,
    RULING_UPHOLD,
    ClaimCaseRequest,
    DecideCasesRequest,
    GetCaseRequest,
)
from ostiary.v1.audit_pb2_grpc import AuditServiceStub
from ostiary.v1.decision_pb2 import VERDICT_BLOCK, VERDICT_REVIEW
from ostiary.wire.errors import OstiaryError
from ostiary_gateway.cli.review import app

Run = Callable[..., Awaitable[Result]]


@pytest.fixture
def run(filled: Site, desk: Running) -> Run:
    """Runs a command as somebody, beside the gateway's event loop."""

    async def run(who: str, *arguments: object) -> Result:
        folder = filled.people.folder / who
        values = {"endpoint": desk.server.address, "server_name": f"gateway.{DOMAIN}"}
        values |= {"ca": "ca.pem", "cert": "cert.pem", "key": "key.pem"}
        (folder / "profile.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
        words = [*map(str, arguments), "--profile", str(folder)]
        return await asyncio.to_thread(CliRunner(env={"COLUMNS": "200"}).invoke, app, words)

    return run


def told(result: Result) -> Any:
    """What a command printed as JSON, among what the gateway in the same process logs."""
    return json.loads(next(line for line in result.stdout.splitlines() if line.startswith("{")))


async def test_a_reviewer_s_day(run: Run) -> None:
    """The next case, as a person reads it; decided; and the one after, until none waits."""
    taken = await run("anna", "next")
    assert taken.exit_code == 0, taken.output
    for words in (check_id(3), "HOLD", "claimed", "ＳＨＯＥＳ", "yours until"):
        assert words in taken.stdout
    decided = await run(
        "anna", "decide", check_id(3), check_id(2), "--ruling", "uphold", "--reason", "a fake", "--json"
    )
    assert decided.exit_code == 0, decided.output
    assert [each["verdict"] for each in told(decided)["outcomes"]] == ["BLOCK", "BLOCK"]
    for number in (1, 4):
        found = told(await run("anna", "next", "--lease", 60, "--json"))
        assert found["summary"]["check_id"] == check_id(number)
        assert found["response"]["findings"]
    assert (await run("bert", "next")).exit_code == 3
    assert told(await run("bert", "next", "--json")) == {}


async def test_what_could_not_be_decided(run: Run) -> None:
    """Exit code 1, and why, beside what was decided."""
    await run("bert", "next", check_id(1))
    done = await run(
        "anna",
        "decide",
        check_id(1),
        check_id(4),
        "--ruling",
        "overturn",
        "--reason",
        "fine",
        "--allow-days",
        7,
    )
    assert done.exit_code == 1
    assert "has claimed it" in done.stdout
    assert "ALLOW" in done.stdout


async def test_comment_and_appeal(run: Run, as_: Callable[[str], Any]) -> None:
    """Each is on record."""
    assert "commented" in (await run("anna", "comment", check_id(2), "hm")).stdout
    appealed = await run("pipeline", "appeal", check_id(2), "--statement", "it is mine", "--json")
    assert told(appealed)["appeal_id"]
    case = await as_("auditor").GetCase(GetCaseRequest(check_id=check_id(2)), timeout=20)
    assert [event.kind for event in case.events] == ["decided", "commented", "appealed"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["next", "no-such-check"], "no such case"),
        (["decide", "x", "x", "--ruling", "uphold", "--reason", "r"], "check_ids"),
        (["comment", "x", " "], "text"),
        (["appeal", check_id(2), "--statement", "s", "--callback", "http://x"], "callback_uri"),
    ],
)
async def test_refusals(run: Run, arguments: list[str], words: str) -> None:
    """What the gateway refuses ends the command with the gateway's words."""
    refused = await run("anna", *arguments)
    assert isinstance(refused.exception, OstiaryError)
    assert words in str(refused.exception)


async def test_a_wrong_command_line(run: Run, tmp_path: Path) -> None:
    """Exit code 2."""
    for arguments in (
        ["next", "--profile", str(tmp_path / "none")],
        ["next", "--lease", "121"],
        ["decide", "x", "--ruling", "maybe", "--reason", "r"],
        ["decide", "x", "--ruling", "uphold"],
        ["stats", "--config", str(tmp_path / "none.yaml")],
    ):
        assert CliRunner().invoke(app, arguments).exit_code == 2, arguments


@pytest.mark.parametrize("command", ["next", "decide", "comment", "appeal", "stats"])
def test_help_explains(command: str) -> None:
    """Each command says what it does."""
    shown = CliRunner().invoke(app, [command, "--help"])
    assert shown.exit_code == 0
    assert "Usage" in shown.stdout


async def test_golden_items_and_stats(filled: Site) -> None:
    """A golden item looks like any other, comes to each reviewer once, and tells who errs."""
    golden = filled.folder / "golden.csv"
    golden.write_text(f"check_id,ruling\n{check_id(1)},overturn\n{check_id(4)},uphold\n")
    review = {"golden": "golden.csv", "double_verdicts": ["HOLD"]}
    async with filled.start(review=review) as running:

        def as_(who: str) -> Any:
            return AuditServiceStub(running.channel(who))

        async def decide(who: str, number: int, ruling: Any) -> Any:
            asked = DecideCasesRequest(check_ids=[check_id(number)], ruling=ruling, internal_reason="seen")
            return (await as_(who).DecideCases(asked, timeout=20)).outcomes[0]

        for who, second in (("anna", RULING_OVERTURN), ("bert", RULING_UPHOLD)):
            seen = []
            for _ in range(3):
                claimed = await as_(who).ClaimCase(ClaimCaseRequest(), timeout=20)
                number = int(claimed.summary.check_id[-12:])
                seen.append(number)
                outcome = await decide(who, number, second if number == 1 else RULING_UPHOLD)
                assert not outcome.error
                if number == 4:
                    assert outcome.verdict == VERDICT_BLOCK
                case = await as_(who).GetCase(GetCaseRequest(check_id=check_id(number)), timeout=20)
                others = {event.actor for event in case.events if event.kind == "ruled"} - {
                    f"spiffe://ostiary.local/tenant/demo/role/auditor/{who}"
                }
                assert not others or number == 3
            assert seen == [3, 1, 4]
        case = await as_("lead").GetCase(GetCaseRequest(check_id=check_id(1)), timeout=20)
        assert case.summary.verdict == VERDICT_REVIEW
        assert [event.kind for event in case.events] == ["decided", *["claimed", "ruled"] * 2]
        config = filled.folder / "gateway.yaml"
        told_ = CliRunner().invoke(app, ["stats", "--config", str(config), "--json"])
        assert told_.exit_code == 0, told_.output
        found = told(told_)
        anna, bert = (f"spiffe://ostiary.local/tenant/demo/role/auditor/{who}" for who in ("anna", "bert"))
        assert found["cases"] == 3
        assert found["reviewers"][anna] == {"pairs": 3, "same": 1.0, "kappa": 1.0}
        assert found["reviewers"][bert] == {"pairs": 3, "same": pytest.approx(2 / 3), "kappa": 0.0}
        table = CliRunner(env={"COLUMNS": "160"}).invoke(app, ["stats", "--config", str(config)])
        assert "66.7%" in table.stdout
        golden.write_text("check_id,ruling\nx\n")
        bad = CliRunner().invoke(app, ["stats", "--config", str(config)])
        assert bad.exit_code == 1
        assert "golden.csv: line 2" in bad.stderr
