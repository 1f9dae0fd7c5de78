"""`ostiary brands` as people and programs call it."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from gateway.brands import registries
from gateway.brands.registries import brand
from gateway.scripted_pod import Script
from gateway.site import Running, Site, profile_of, until
from ostiary_gateway.cli.brands import app


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A registry of two brands."""
    permission = {"seller": "s7", "territories": ["DE"], "validUntil": "2026-12-31T00:00:00Z"}
    registries.write(
        tmp_path / "brands",
        brand(authorisations=[permission]),
        brand("acmoria", shade=1, territories=["CN"]),
    )
    return tmp_path / "brands"


def test_lint_says_that_all_is_well(folder: Path) -> None:
    """Exit code 0, and how many brands there are."""
    told = run("lint", folder)
    assert (told.exit_code, told.stdout) == (0, "house@1: 2 brands\n")
    assert json.loads(run("lint", folder, "--json").stdout) == {"registries": {"house": 2}, "problems": []}


def test_lint_of_an_empty_folder(tmp_path: Path) -> None:
    """A gateway serves without registries, and a wrong folder is noticed."""
    told = run("lint", tmp_path)
    assert (told.exit_code, told.stdout) == (0, "no registries\n")
    assert run("lint", tmp_path / "none").exit_code == 2


def test_lint_says_what_is_wrong_where(folder: Path) -> None:
    """Exit code 1, and every problem as FILE:LINE: FIELD: REASON."""
    registries.write(folder, brand(territories=["XX"], categories=["toys"]))
    told = run("lint", folder)
    assert told.exit_code == 1
    assert f"{folder}/house.yaml:" in told.stdout
    assert "brands[0].territories[0]: 'XX' is none of ISO 3166-1" in told.stdout
    problems = json.loads(run("lint", folder, "--json").stdout)["problems"]
    assert [problem["file"] for problem in problems] == ["house.yaml", "house.yaml"]
    assert all(problem["line"] > 1 for problem in problems)


def test_brands_are_shown(folder: Path) -> None:
    """For people and for programs."""
    told = run("list", folder)
    assert told.exit_code == 0
    assert "Zorvane" in told.stdout
    first, second = json.loads(run("list", folder, "--json").stdout)
    assert (first["brand"], first["registry"], first["words"]) == ("zorvane", "house@1", ["ZORVANE"])
    assert first["authorisations"][0]["seller"] == "s7"
    assert second["territories"] == ["CN"]
    (folder / "house.yaml").write_text("name: house\n")
    assert run("list", folder).exit_code == 1


@pytest.mark.parametrize(
    ("arguments", "code", "labels"),
    [
        (("--word", "zor vane sneakers"), 3, ["unclear_authorisation"]),
        (("--word", "ZORVANE", "--seller", "s9"), 5, ["unauthorised_brand"]),
        (("--mark", "zorvane-mark", "--seller", "s9"), 5, ["unauthorised_brand"]),
        (("--word", "ZORVANE", "--seller", "s7", "--territory", "DE"), 0, ["authorised_brand"]),
        (("--word", "ZORVANE", "--seller", "s7", "--territory", "FR"), 3, ["unclear_authorisation"]),
        (("--word", "ZORVANE", "--seller", "s7"), 3, ["unclear_authorisation"]),
        (("--title", "Zorvane shoes", "--seller", "s9"), 3, ["unauthorised_brand"]),
        (("--claimed-brand", "Zorvane", "--seller", "s9"), 3, ["unauthorised_brand"]),
        (("--word", "ACMORIA", "--territory", "DE"), 0, ["authorised_brand"]),
        (("--word", "SUMMER 42"), 0, []),
        (
            ("--word", "ACMORIA", "--mark", "zorvane-mark", "--seller", "s7", "--territory", "CN"),
            5,
            ["unauthorised_brand", "unclear_authorisation"],
        ),
    ],
)
def test_a_listing_is_tried_out(
    folder: Path, arguments: tuple[str, ...], code: int, labels: list[str]
) -> None:
    """The exit code is that of the gravest finding, as `ostiary check` has it."""
    at = ("--at", "2026-11-25T00:00:00Z")
    told = run("test", folder, *arguments, *at, "--json")
    assert told.exit_code == code, told.output
    found = json.loads(told.stdout)["findings"]
    assert [each["label"] for each in found] == labels
    people = run("test", folder, *arguments, *at)
    assert people.exit_code == code
    assert all(f"logo_infringement/{label}" in people.stdout for label in labels)
    assert bool(labels) is ("nothing" not in people.stdout)


def test_a_listing_is_tried_out_as_of_a_day(folder: Path) -> None:
    """So that a permission's end is known before it comes."""
    asked = ("--word", "ZORVANE", "--seller", "s7", "--territory", "DE", "--at")
    assert run("test", folder, *asked, "2026-12-30T00:00:00Z").exit_code == 0
    later = run("test", folder, *asked, "2027-01-01T00:00:00Z")
    assert later.exit_code == 3
    assert "only until 2026-12-31" in later.stdout


def test_a_listing_is_tried_out_under_another_policy(folder: Path, tmp_path: Path) -> None:
    """The one in force, say; the file is named where it is bad or does not judge brands."""
    policy = tmp_path / "policy.yaml"
    policy.write_text('name: a\nversion: "1"\npolicies: [{policy: logo_infringement}]')
    asked = ("test", folder, "--word", "ZORVANE", "--seller", "s9", "--policy", policy)
    assert run(*asked).exit_code == 0
    policy.write_text('name: a\nversion: "1"\npolicies: [{policy: nudity}]')
    assert "a@1 does not judge logo_infringement" in run(*asked).stderr
    policy.write_text("name: a\n")
    assert f"{policy}: version" in run(*asked).stderr


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ((), 2, "--word, --mark, --title or --claimed-brand"),
        (("--word", "x", "--at", "tomorrow"), 2, "time with its zone"),
        (("--mark", "none"), 1, "there is no mark 'none'"),
    ],
)
def test_what_cannot_be_tried_out(folder: Path, arguments: tuple[str, ...], code: int, words: str) -> None:
    """Wrong command lines end with 2, what the registries do not know with 1."""
    told = run("test", folder, *arguments)
    assert told.exit_code == code
    assert words in " ".join(told.stderr.replace("│", " ").split())


@pytest.fixture
async def served(site: Site) -> AsyncIterator[Running]:
    async with site.start(brands="brands") as running:
        yield running


@pytest.fixture
def profile(site: Site, served: Running) -> Path:
    return profile_of(site, served)


async def asked(*arguments: object) -> Result:
    """As `run`, beside the gateway's event loop."""
    return await asyncio.to_thread(run, *arguments)


def told(result: Result) -> Any:
    """What a command printed as JSON, among what the gateway in the same process logs."""
    return json.loads(next(line for line in result.stdout.splitlines() if line.startswith(("{", "["))))


async def test_a_registry_is_put(site: Site, script: Script, profile: Path, folder: Path) -> None:
    """Tried first, then in force; a change under the same version is refused."""
    put = ("put", folder / "house.yaml", "--profile", profile)
    tried = await asked(*put, "--dry-run")
    assert (tried.exit_code, tried.stdout.split(", ")[0]) == (0, "house@1 would be in force (new)")
    assert not list((site.folder / "brands").iterdir())
    done = await asked(*put, "--json")
    assert done.exit_code == 0, done.output
    report = told(done)
    assert (report["registry"], report["before"], report["after"]) == ("house", "", "1")
    assert (site.folder / "brands/house.json").exists()
    registries.write(folder, brand("vellitor", shade=2))
    refused = await asked(*put)
    assert refused.exit_code == 1
    assert "refused: version: '1' is in force already" in refused.stderr
    await until(lambda: bool(script.gallery.digest))
    held = told(await asked("galleries", "--profile", profile, "--json"))
    assert [each["address"] for each in held]


async def test_a_bad_registry_is_not_sent(profile: Path, folder: Path) -> None:
    """It is told as lint tells it."""
    registries.write(folder, brand(territories=["XX"]))
    refused = await asked("put", folder / "house.yaml", "--profile", profile)
    assert refused.exit_code == 1
    assert f"{folder}/house.yaml:" in refused.stderr


async def test_galleries_are_shown(script: Script, profile: Path, folder: Path) -> None:
    """What each pod holds and refuses; exit code 1 where one lacks the marks."""
    script.gallery.refused = ("zorvane-mark: too plain",)
    await asked("put", folder / "house.yaml", "--profile", profile)
    await until(lambda: bool(script.gallery.digest))
    shown = await asked("galleries", "--profile", profile)
    assert shown.exit_code == 0
    assert "refused: zorvane-mark: too plain" in shown.stdout


async def test_a_pod_that_lacks_the_marks_is_shown(site: Site, script: Script) -> None:
    """Exit code 1, and why."""
    script.gallery.compares = False
    registries.write(site.folder / "brands", brand())
    async with site.start(brands="brands") as running:
        shown = await asked("galleries", "--profile", profile_of(site, running))
    assert shown.exit_code == 1
    assert "no detector of the pod compares with galleries" in shown.stdout


def test_a_profile_is_needed(folder: Path, tmp_path: Path) -> None:
    """A wrong one is a wrong command line."""
    told = run("put", folder / "house.yaml", "--profile", tmp_path / "none")
    assert told.exit_code == 2


@pytest.mark.parametrize("command", ["lint", "list", "test", "put", "galleries", "dry-run"])
def test_help_explains(command: str) -> None:
    """Each command says what it does."""
    told = run(command, "--help")
    assert told.exit_code == 0
    assert "Usage" in told.stdout
