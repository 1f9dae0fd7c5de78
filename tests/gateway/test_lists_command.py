"""`ostiary lists` as people and programs call it."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from gateway.hashes import lists
from gateway.site import Running, Site, profile_of
from ostiary_gateway.cli.lists import app
from ostiary_gateway.list_source import read_folder

HASH = "f8f8f0cee0f4a84f06370a22038f63f0b36e2ed596621e1d33e6b39c4e9c9b22"
NEAR = f"{HASH[:-1]}3"
FAR = "e64cc9d91c623882f8d1f1d9a398e78c9f199b3bd83924f2b7e11e0bf861b064"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def import_(file: Path, out: Path, *more: object) -> Result:
    what = ("--kind", "pdq", "--action", "block", "--policy", "prohibited_ads", "--label", "qr_code")
    return run("import", file, out, *what, *more)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A block-list and an allow-list."""
    folder = tmp_path / "lists"
    folder.mkdir()
    for name, action, entry in (
        ("fakes", "ACTION_BLOCK", {"hash": HASH, "source": "team", "note": "seen before"}),
        ("appeals", "ACTION_NOTE", {"hash": HASH, "seller": "s7", "expires_at": "2027-01-01T00:00:00Z"}),
    ):
        (folder / f"{name}.yaml").write_bytes(lists.header(name=name, action=action))
        (folder / f"{name}.csv").write_bytes(lists.rows([entry]))
    return folder


@pytest.fixture
def signals(tmp_path: Path) -> Path:
    file = tmp_path / "signals.txt"
    file.write_text(f"pdq {HASH}\npdq {FAR}\nurl https://example.com\n")
    return file


def test_lint_says_that_all_is_well(folder: Path) -> None:
    """Exit code 0, and how many entries there are."""
    told = run("lint", folder)
    assert told.exit_code == 0
    assert told.stdout.splitlines() == ["appeals@1: 1 entries", "fakes@1: 1 entries"]
    assert json.loads(run("lint", folder, "--json").stdout) == {
        "lists": {"appeals": 1, "fakes": 1},
        "problems": [],
    }


def test_lint_of_an_empty_folder(tmp_path: Path) -> None:
    """A gateway serves without lists, and a wrong folder is noticed."""
    told = run("lint", tmp_path)
    assert (told.exit_code, told.stdout) == (0, "no lists\n")


def test_lint_says_what_is_wrong_where(folder: Path) -> None:
    """Exit code 1, and every problem as FILE:LINE: REASON."""
    (folder / "fakes.csv").write_text(f"hash\n{HASH}\n00\nzz\n")
    told = run("lint", folder)
    assert told.exit_code == 1
    assert f"{folder}/fakes.csv:3: hash: 2 characters; 64 hexadecimal digits are needed" in told.stdout
    problems = json.loads(run("lint", folder, "--json").stdout)["problems"]
    assert [(problem["file"], problem["line"]) for problem in problems] == [
        ("fakes.csv", 3),
        ("fakes.csv", 4),
    ]


def test_lists_are_shown(folder: Path) -> None:
    """For people and for programs."""
    told = run("list", folder)
    assert told.exit_code == 0
    assert "fakes@1" in told.stdout
    shown = json.loads(run("list", folder, "--json").stdout)
    assert [(one["list"], one["asks_for"], one["entries"]) for one in shown] == [
        ("appeals@1", "NOTE", 1),
        ("fakes@1", "BLOCK", 1),
    ]
    (folder / "fakes.csv").unlink()
    assert run("list", folder).exit_code == 1


def test_import_makes_a_list_that_a_gateway_reads(tmp_path: Path, signals: Path) -> None:
    """Both files, and what was left out of them."""
    told = import_(signals, tmp_path / "made/shared", "--source", "exchange", "--version", "7")
    assert told.exit_code == 0, told.output
    assert told.stdout.splitlines() == ["shared@7: 2 entries", "left out: 1 of the kind 'url'"]
    read, errors = read_folder(tmp_path / "made", {})
    assert not errors
    assert (len(read["shared"].list), read["shared"].list.header.source) == (2, "exchange")


def test_import_never_overwrites_unasked(tmp_path: Path, signals: Path) -> None:
    """A list of the same name is another's work; --replace keeps what it is and takes the new entries."""
    import_(signals, tmp_path / "shared", "--version", "7")
    told = import_(signals, tmp_path / "shared")
    assert told.exit_code == 1
    assert "a list of this name is there" in told.stderr
    signals.write_text(f"pdq {NEAR}\n")
    told = run(
        "import", signals, tmp_path / "shared", "--kind", "pdq", "--replace", "--version", "8", "--json"
    )
    assert json.loads(told.stdout) == {"list": "shared@8", "entries": 1, "left_out": {}}
    read, _ = read_folder(tmp_path, {})
    header = read["shared"].list.header
    assert (header.policy, header.label, header.version) == ("prohibited_ads", "qr_code", "8")


def test_import_takes_what_spreadsheets_save(tmp_path: Path) -> None:
    """A byte order mark and other line breaks do no harm; another encoding is told."""
    file = tmp_path / "sheet.csv"
    file.write_bytes(f"\ufeffhash,note\r\n{HASH},名\r\n".encode())
    assert import_(file, tmp_path / "sheet").exit_code == 0
    assert read_folder(tmp_path, {})[0]["sheet"].list.header.name == "sheet"
    file.write_bytes(f"hash,note\n{HASH},名\n".encode("gbk"))
    assert "sheet.csv: not UTF-8 text" in import_(file, tmp_path / "other").stderr


@pytest.mark.parametrize(
    ("text", "more", "words"),
    [
        (f"pdq {HASH}\npdq {HASH[1:]}\n", (), "signals.txt:2: hash: 63 characters"),
        ("", (), "there is no pdq entry in it"),
        (f"pdq {HASH}\n", ("--max-distance", "32"), "maxDistance: 0 to 31"),
        (f"pdq {HASH}\n", ("--policy", ""), "policy: say which"),
    ],
    ids=["a bad hash", "empty", "too far", "no policy"],
)
def test_import_refuses_what_a_gateway_would_refuse(
    tmp_path: Path, signals: Path, text: str, more: tuple[str, ...], words: str
) -> None:
    """With file, line and reason; nothing is written."""
    signals.write_text(text)
    told = import_(signals, tmp_path / "lists/shared", *more)
    assert told.exit_code == 1
    assert words in told.stderr
    assert not (tmp_path / "lists").exists()


def asked(folder: Path, *more: object) -> tuple[int, list[dict[str, Any]]]:
    told = run("lookup", folder, *more, "--json")
    return told.exit_code, json.loads(told.stdout)["matches"]


def test_lookup_says_which_entry_it_is(folder: Path) -> None:
    """List, distance and entry; the exit code is the gravest that holds."""
    code, matches = asked(folder, NEAR)
    assert code == 5
    assert [(match["list"], match["distance"], match["holds"]) for match in matches] == [
        ("appeals@1", 1, False),
        ("fakes@1", 1, True),
    ]
    assert (matches[1]["hash"], matches[1]["source"], matches[1]["note"]) == (HASH, "team", "seen before")
    people = run("lookup", folder, NEAR)
    assert people.exit_code == 5
    assert f"BLOCK  fakes@1  distance 1  {HASH}" in people.stdout
    assert "does not hold" in people.stdout


@pytest.mark.parametrize(
    ("seller", "at", "holds"),
    [
        ("s7", "2026-12-31T23:59:59Z", True),
        ("s7", "2027-01-01T00:00:00Z", False),
        ("s8", "2026-12-31T23:59:59Z", False),
    ],
    ids=["hers", "expired", "another's"],
)
def test_lookup_is_for_a_seller_at_a_time(folder: Path, seller: str, at: str, holds: bool) -> None:
    """So that tomorrow's answer can be known today."""
    _, matches = asked(folder, HASH, "--seller", seller, "--at", at)
    assert matches[0]["holds"] is holds


def test_lookup_of_an_unknown_image(folder: Path) -> None:
    """Exit code 0, in words."""
    assert asked(folder, FAR) == (0, [])
    assert asked(folder, HASH, "--kind", "sha256") == (0, [])
    assert run("lookup", folder, FAR).stdout == "unknown to the lists\n"


@pytest.mark.parametrize(
    "arguments", [("abc",), (HASH, "--at", "tomorrow"), (HASH, "--kind", "md5")], ids=["hash", "time", "kind"]
)
def test_a_wrong_command_line_ends_with_two(folder: Path, arguments: tuple[str, ...]) -> None:
    """As the other commands do."""
    assert run("lookup", folder, *arguments).exit_code == 2
    assert run("lint", folder / "none").exit_code == 2


@pytest.fixture
async def served(site: Site) -> AsyncIterator[Running]:
    async with site.start(lists="lists") as running:
        yield running


@pytest.fixture
def profile(site: Site, served: Running) -> Path:
    return profile_of(site, served)


async def put(*arguments: object) -> Result:
    """`ostiary lists put`, beside the gateway's event loop."""
    return await asyncio.to_thread(run, "put", *arguments)


async def test_a_list_is_put(site: Site, profile: Path, folder: Path) -> None:
    """Tried first, then in force as it stands; a change under the same version is refused."""
    held = site.folder / "lists"
    tried = await put(folder / "appeals", "--profile", profile, "--dry-run")
    assert (tried.exit_code, tried.stdout.split(", ")[0]) == (0, "appeals@1 would be in force (new)")
    assert not list(held.iterdir())
    done = await put(folder / "appeals.yaml", "--profile", profile, "--json")
    assert done.exit_code == 0, done.output
    report = json.loads(next(line for line in done.stdout.splitlines() if line.startswith("{")))
    assert (report["list"], report["before"], report["after"]) == ("appeals", "", "1")
    written, _ = read_folder(held, {})
    given, _ = read_folder(folder, {})
    assert list(written["appeals"].list) == list(given["appeals"].list)
    assert written["appeals"].list.header == given["appeals"].list.header
    (folder / "appeals.csv").write_bytes(lists.rows([{"hash": FAR}]))
    refused = await put(folder / "appeals", "--profile", profile)
    assert refused.exit_code == 1
    assert "refused: version: '1' is in force already" in refused.stderr


def test_a_bad_list_is_not_sent(folder: Path, tmp_path: Path) -> None:
    """It is told as lint tells it, before any profile is looked at; one that is not there, too."""
    (folder / "fakes.csv").write_bytes(lists.rows([{"hash": HASH[:-2]}]))
    refused = run("put", folder / "fakes", "--profile", tmp_path)
    assert (refused.exit_code, f"{folder}/fakes.csv:2: hash: 62 characters" in refused.stderr) == (1, True)
    missing = run("put", folder / "none", "--profile", tmp_path)
    assert (missing.exit_code, "a list is both none.yaml and none.csv" in missing.stderr) == (1, True)


def test_a_list_that_no_call_has_room_for(folder: Path, tmp_path: Path) -> None:
    """The command says what to do with it instead."""
    row = {"hash": HASH, "source": "team", "note": "x" * 500}
    (folder / "fakes.csv").write_bytes(lists.rows([row] * 10_000))
    refused = run("put", folder / "fakes", "--profile", tmp_path)
    assert refused.exit_code == 1
    assert "10,000 entries are more than one call has room for" in refused.stderr


@pytest.mark.parametrize("command", ["lint", "list", "import", "lookup", "put", "dry-run"])
def test_help_explains(command: str) -> None:
    """Each command says what it does."""
    told = run(command, "--help")
    assert told.exit_code == 0
    assert "Usage" in told.stdout
