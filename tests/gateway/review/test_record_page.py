"""docs/record.md: its settings are taken, and its commands are commands."""

import re
import shlex
from ipaddress import ip_address
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from ostiary.v1.decision_pb2 import VERDICT_BLOCK, VERDICT_HOLD
from ostiary_gateway.cli.review import app
from ostiary_gateway.review import overturned, requests
from ostiary_gateway.review.addresses import RefusedAddressError
from ostiary_gateway.settings import ReviewSettings

PAGE = (Path(__file__).resolve().parents[3] / "docs/record.md").read_text("utf-8")
REVIEW = [
    line
    for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    for line in block.splitlines()
    if line.startswith("ostiary review")
]


def test_the_settings_are_taken() -> None:
    """And mean what the page says."""
    [text] = re.findall(r"```yaml\n(review:.*?)```", PAGE, re.DOTALL)
    settings = ReviewSettings.model_validate(yaml.safe_load(text)["review"])
    rules = settings.rules()
    assert (rules.double_share, rules.double_verdicts, rules.four_eyes) == (
        0.05,
        {VERDICT_HOLD},
        {VERDICT_BLOCK},
    )
    addresses = settings.callbacks.rules()
    addresses.check(ip_address("10.9.0.1"))
    for inside in ("10.8.0.1", "198.41.0.4"):
        with pytest.raises(RefusedAddressError):
            addresses.check(ip_address(inside))


@pytest.mark.parametrize("line", REVIEW)
def test_the_commands_are_understood(line: str, tmp_path: Path) -> None:
    """Each gets as far as the profile, which is not there."""
    words = shlex.split(line)[2:]
    if "--profile" in words:
        at = words.index("--profile")
        del words[at : at + 2]
    told = CliRunner().invoke(app, [*words, "--profile", str(tmp_path / "none")])
    assert told.exit_code == 2, told.output
    assert "--profile" in told.output


def test_the_figures_are_the_code_s() -> None:
    """How near, how long and how many."""
    assert len(REVIEW) == 4
    assert f"within {overturned.NEAR} bits" in PAGE
    assert f"up to {requests.MOST_CASES} cases" in PAGE
