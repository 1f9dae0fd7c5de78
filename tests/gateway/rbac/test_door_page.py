"""docs/door.md: its files are good, and its commands run."""

import re
import shlex
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from ostiary_gateway import routing
from ostiary_gateway.cli.rbac import app
from ostiary_gateway.rbac.roles import load
from ostiary_gateway.settings import AdmissionSettings, BulkSettings, KubernetesSettings, ReuseSettings

PAGE = (Path(__file__).resolve().parents[3] / "docs/door.md").read_text("utf-8")
BLOCKS = re.findall(r"```(yaml|json|sh)\n(.*?)```", PAGE, re.DOTALL)
ROLES, POLICY, COMMANDS, ADMISSION, REUSE, BULK, ROUTE, KUBERNETES = (text for _, text in BLOCKS)


def test_the_rules_are_taken() -> None:
    """Both formats, with cases that turn out as they say."""
    assert not list(load(ROLES).failures())
    assert load(POLICY).policy.name == "shop"


def test_the_admission_settings_are_taken() -> None:
    """And give the tenants what the page says."""
    settings = AdmissionSettings.model_validate(yaml.safe_load(ADMISSION)["admission"])
    assert settings.quotas().of("shop-a").per_day == 1_000_000
    assert settings.quotas().of("somebody").per_second == 50


def test_the_settings_for_reuse_and_bulk_work_are_taken() -> None:
    """The page gives those that hold where nothing is said."""
    assert ReuseSettings.model_validate(yaml.safe_load(REUSE)["reuse"]) == ReuseSettings()
    assert BulkSettings.model_validate(yaml.safe_load(BULK)["bulk"]) == BulkSettings()


def test_the_route_is_taken() -> None:
    """With a name, a pin and a mirror."""
    assert [version.weight for version in routing.load(ROUTE).versions] == [9500, 500]


def test_the_settings_for_kubernetes_are_taken() -> None:
    """The page gives the values that hold where nothing is said, and names for what comes from there."""
    settings = KubernetesSettings.model_validate(yaml.safe_load(KUBERNETES)["kubernetes"])
    named = KubernetesSettings(route="qwen", policy="default", brands=True, last_known=Path("last-known"))
    assert settings == named


@pytest.mark.parametrize("line", COMMANDS.splitlines())
def test_the_commands_run(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the page's own roles, each ends well."""
    monkeypatch.chdir(tmp_path)
    Path("roles.yaml").write_text(ROLES, "utf-8")
    words = shlex.split(line, comments=True)
    assert words[:2] == ["ostiary", "rbac"]
    result = CliRunner().invoke(app, words[2:])
    assert result.exit_code == 0, result.output
