"""`ostiary audit list`, `show`, `checkpoint` and `proof` against a gateway that serves."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from gateway.review.conftest import check_id, decision, record
from gateway.site import Running, Site, profile_of
from ostiary.cli.audit import app
from ostiary.cli.audit.filters import Filters
from ostiary.tlog.keys import create_log_key, load_verifier_key
from ostiary_gateway.store.opening import utc_now

Ask = Callable[..., "asyncio.Future[Result]"]


@pytest.fixture
def ask(filled: Site, desk: Running, monkeypatch: pytest.MonkeyPatch) -> Ask:
    """Runs `ostiary audit` as the compliance administrator, beside the gateway."""
    # The gateway logs from this process too, to what is there when the command has ended.
    monkeypatch.setattr("ostiary.cli.audit.desk.configure_logs", lambda service, style: None)
    profile = profile_of(filled, desk)

    async def run(command: str, *arguments: object) -> Result:
        line = [command, "--profile", str(profile), *map(str, arguments)]
        return await asyncio.to_thread(CliRunner(env={"COLUMNS": "300"}).invoke, app, line)

    return run


def numbers(told: Result) -> list[int]:
    return [int(json.loads(line)["checkId"][-12:]) for line in told.stdout.splitlines()]


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ([], [4, 3, 2, 1, 0]),
        (["--verdict", "REVIEW", "--verdict", "BLOCK"], [4, 2, 1]),
        (["--label", "prohibited_ads/contact_details", "--seller", "anna"], [1]),
        (["--bundle", "64" * 32], [1]),
        (["--policy", "strict@2", "--state", "OPEN"], [3]),
        (["--since", "2026-11-01T14:00:00Z", "--until", "2026-11-01T17:00:00+01:00"], [3, 2]),
        (["--brand", "acme", "--min-score", "0.9"], [2]),
        (["--text", "shoes"], [3]),
        (["--limit", "2"], [4, 3]),
        (["--limit", "0"], [4, 3, 2, 1, 0]),
    ],
    ids=str,
)
async def test_list_finds(ask: Ask, options: list[str], found: list[int]) -> None:
    """Each option is a condition of the search; programs get an object a line."""
    told = await ask("list", "--json", *options)
    assert told.exit_code == 0, told.stderr
    assert numbers(told) == found


async def test_list_turns_the_pages(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many pages there are, all cases are told, once and in order."""
    monkeypatch.setattr("ostiary.cli.audit.calls._MOST_PAGE", 2)
    assert numbers(await ask("list", "--json", "--limit", "0")) == [4, 3, 2, 1, 0]
    assert numbers(await ask("list", "--json", "--limit", "3")) == [4, 3, 2]


async def test_list_for_people(ask: Ask) -> None:
    """Two lines with time, verdict, state, seller and labels, and a word on what was left out."""
    told = await ask("list", "--verdict", "BLOCK")
    header, *lines = told.stdout.splitlines()
    at = next(number for number, line in enumerate(lines) if check_id(2) in line)
    assert lines[at].split() == ["2026-11-01", "14:00", "BLOCK", "DECIDED", "1.00", check_id(2)]
    assert lines[at].index(check_id(2)) == header.index("Check")
    assert lines[at + 1].startswith("  seller bert")
    assert "--limit 0" in (await ask("list", "--limit", "2")).stderr
    assert (await ask("list", "--seller", "nobody")).stderr == "no case fits\n"


async def test_show(ask: Ask) -> None:
    """People see answer, listing and history; programs get the message."""
    told = await ask("show", check_id(4))
    assert told.exit_code == 0, told.stderr
    assert all(part in told.stdout for part in ("REVIEW", "acme", "anna", "decided", "stands: REVIEW, OPEN"))
    case = json.loads((await ask("show", check_id(4), "--json")).stdout)
    assert case["summary"]["checkId"] == check_id(4)
    assert case["events"][0]["kind"] == "decided"


@pytest.mark.parametrize(
    ("command", "arguments", "code", "words"),
    [
        ("list", ["--since", "yesterday"], 2, "--since: 'yesterday' is no time"),
        ("list", ["--bundle", "12"], 2, "--bundle: '12' is no digest"),
        ("list", ["--label", "explicit"], 1, "INVALID_FIELD"),
        ("show", [check_id(5)], 1, "NOT_FOUND"),
        ("proof", ["99"], 1, "NOT_FOUND"),
        ("proof", ["0", "--vkey", "nonsense"], 2, "--vkey is neither"),
        ("checkpoint", ["--remember", "kept"], 2, "--remember needs --vkey"),
    ],
    ids=str,
)
async def test_what_cannot_be_asked(
    ask: Ask, command: str, arguments: list[str], code: int, words: str
) -> None:
    """One line that says what was wrong, and an exit code that tells usage from refusal."""
    told = await ask(command, *arguments)
    assert (told.exit_code, told.stdout) == (code, "")
    assert words in told.stderr


async def test_without_a_gateway(tmp_path: Path) -> None:
    """A profile that is not there is a usage error, told by its option."""
    told = await asyncio.to_thread(CliRunner().invoke, app, ["list", "--profile", str(tmp_path / "none")])
    assert told.exit_code == 2
    assert "--profile" in told.stderr


async def test_proofs_are_verified_here(ask: Ask, filled: Site) -> None:
    """By check or by entry, under the key that the auditor trusts; another key proves nothing."""
    vkey = filled.folder / "log.vkey"
    for what in (check_id(2), "2"):
        told = json.loads((await ask("proof", what, "--vkey", vkey, "--json")).stdout)
        assert (told["log_index"], told["size"], told["verified"]) == (2, 6, True)
    smaller = json.loads((await ask("proof", "2", "--size", "3", "--json")).stdout)
    assert (smaller["size"], smaller["verified"]) == (3, False)
    assert (await ask("proof", "2", "--vkey", vkey)).stdout.startswith(
        "OK  entry 2 of ostiary.local/log: proved"
    )
    other = create_log_key(filled.folder / "other.key", "ostiary.local/log")
    refused = await ask("proof", "2", "--vkey", other)
    assert refused.exit_code == 1
    assert "does not verify" in refused.stderr


async def test_a_remembered_checkpoint(ask: Ask, filled: Site, tmp_path: Path) -> None:
    """The newest is kept, and the next must extend it; one of another history is told as that."""
    vkey, kept = filled.folder / "log.vkey", tmp_path / "kept"
    first = await ask("checkpoint", "--vkey", vkey, "--remember", kept)
    assert first.exit_code == 0, first.stderr
    assert kept.read_text() == first.stdout
    await record(filled, decision(7))
    told = json.loads((await ask("checkpoint", "--vkey", vkey, "--remember", kept, "--json")).stdout)
    assert (told["size"], told["verified"], told["extends"]) == (7, True, 6)
    assert "ostiary.local/log\n7\n" in kept.read_text()
    assert load_verifier_key(vkey).name == "ostiary.local/log"


@pytest.mark.parametrize(("since", "days"), [("7d", 7.0), ("36h", 1.5), ("2w", 14.0)])
def test_times_ago(since: str, days: float) -> None:
    """`7d` is a week before now."""
    now = utc_now()
    asked = Filters(since=since).request(now)
    assert (now.timestamp() - asked.since.ToMicroseconds() / 1e6) / 86_400 == pytest.approx(days, abs=1e-6)
