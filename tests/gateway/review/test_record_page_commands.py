"""docs/record.md: its commands run, its settings are taken, and its roles can be made."""

import asyncio
import re
import shlex
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from gateway.site import DOMAIN, Running, Site
from ostiary.cli.audit import app
from postgres import Postgres

PAGE = (Path(__file__).resolve().parents[3] / "docs/record.md").read_text("utf-8")
BLOCKS = re.findall(r"```(sh|yaml|sql)\n(.*?)```", PAGE, re.DOTALL)
COMMANDS = [line for kind, text in BLOCKS if kind == "sh" for line in text.splitlines()]
# Whose certificate the tests have, for whom the page names.
PEOPLE = {"auditor": "auditor", "lead-auditor": "admin", "compliance-admin": "admin"}


@pytest.fixture
def stack(filled: Site, desk: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The gateway's folder as `ostiary up` lays it out, with the profiles that the page names."""
    monkeypatch.setattr("ostiary.cli.audit.desk.configure_logs", lambda service, style: None)
    monkeypatch.chdir(tmp_path)
    Path(".ostiary").mkdir()
    Path(".ostiary/gateway").symlink_to(filled.folder)
    Path("log.vkey").symlink_to(filled.folder / "log.vkey")
    for name, who in PEOPLE.items():
        folder = Path(".ostiary") / name
        folder.mkdir()
        files = {key: str(path) for key, path in vars(filled.people.files(who)).items() if path}
        values = {key: files[key] for key in ("ca", "cert", "key")}
        values |= {"endpoint": desk.server.address, "server_name": f"gateway.{DOMAIN}"}
        (folder / "profile.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")


async def test_the_commands_run(stack: None) -> None:
    """On a gateway with some decisions, each of `ostiary audit` ends well."""
    ours = [line for line in COMMANDS if line.startswith("ostiary audit") and " CHECK" not in line]
    assert len(ours) >= 8
    for line in ours:
        words = shlex.split(line, comments=True)
        told = await asyncio.to_thread(CliRunner().invoke, app, words[2:])
        assert told.exit_code == 0, f"{line}: {told.output}"


async def test_the_store_is_taken(site: Site) -> None:
    """The URL of the page is a setting; a relative path stays a file beside the settings."""
    (text,) = (text for kind, text in BLOCKS if kind == "yaml" and text.startswith("store:"))
    assert site.settings(**yaml.safe_load(text)).store == yaml.safe_load(text)["store"]
    assert site.settings().store == site.folder / "data/ostiary.db"


def test_the_roles_can_be_made(postgres: Postgres) -> None:
    """The statements are PostgreSQL's."""
    (text,) = (text for kind, text in BLOCKS if kind == "sql")
    database = postgres.database()
    postgres.run(database, "DROP ROLE IF EXISTS ostiary_gateway")
    made = "DO $$ BEGIN {} EXCEPTION WHEN duplicate_object THEN NULL; END $$"
    postgres.run(database, *(made.format(line.partition("--")[0]) for line in text.splitlines()))
    postgres.run(database, "DROP ROLE ostiary_gateway")
