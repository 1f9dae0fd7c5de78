"""The README's commands and code do what it says, and print what it shows."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from e2e.local_stack import LocalStack
from ostiary.cli.demo_run import Demo
from ostiary.cli.stack.layout import Layout
from ostiary.demo import demo_images

REPOSITORY = Path(__file__).resolve().parents[2]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(sh|python)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
DEMO_OUTPUT = re.search(r"<!-- demo output -->\n+```text\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
PHOTO = REPOSITORY / "proto/ostiary/demo/images/coffee.jpg"
MINI = REPOSITORY / "moderation/ostiary_moderation/bundles/mini"


def script(language: str, code: str) -> list[str]:
    if language == "python":
        return [sys.executable, "-W", "error", "-c", code]
    return ["bash", "-euo", "pipefail", "-c", code]


@pytest.mark.timeout(300)
def test_every_block_runs(tmp_path: Path) -> None:
    """From `ostiary up` to `ostiary down`, each block ends well, with a photograph at hand."""
    shutil.copy(PHOTO, tmp_path / "photo.jpg")
    scripts = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}"}

    def run(language: str, code: str) -> subprocess.CompletedProcess[str]:
        command = script(language, code)
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )

    assert BLOCKS[0][1].startswith("ostiary up")
    assert BLOCKS[-1][1].startswith("ostiary down")
    try:
        for language, code in BLOCKS:
            done = run(language, code)
            assert done.returncode == 0, f"{code}\n{done.stdout}{done.stderr}"
    finally:
        run(*BLOCKS[-1])


def masked(text: str) -> set[str]:
    """The lines without what differs from run to run: numbers, digests, folders, spacing."""
    text = re.sub(r"verify \S+", "verify DIR", text)
    text = re.sub(r"\b(root|key)\s+\S+", r"\1", text)
    text = re.sub(r"[0-9a-f]*[0-9][0-9a-f,.:-]*", "0", text)
    return {" ".join(line.replace("─", " ").split()) for line in text.splitlines()}


def test_the_demo_prints_what_is_shown(
    stack: LocalStack, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each line of the demo's output in the README is printed, but for numbers and what the model says."""
    assert DEMO_OUTPUT is not None
    monkeypatch.setenv("COLUMNS", "100")
    assert Demo(Layout(stack.root), stack.root, demo_images()).run() == []
    missing = masked(DEMO_OUTPUT[1]) - masked(capfd.readouterr().out)
    assert not {line for line in missing if not line.startswith(("description", "attributes", "…"))}


@pytest.mark.parametrize("target", sorted(set(re.findall(r"(?m)(?:^|`)make ([a-z]+)\b", README))))
def test_make_targets_exist(target: str) -> None:
    """The README names no target that make does not know."""
    subprocess.run(["make", "--dry-run", target], cwd=REPOSITORY, check=True, capture_output=True)


def test_what_the_model_sees_is_as_measured() -> None:
    """The README's figures of the embedded bundle are those of its evaluation."""
    measured = json.loads((MINI / "evaluation.json").read_text(encoding="utf-8"))
    policies, attributes = measured["policies"].values(), measured["attributes"].values()
    judged = [each for policy in policies for each in (policy, *policy["questions"].values())]
    figures = [each[area]["value"] for each in judged for area in ("auroc", "auroc_against_untouched")]
    figures += [policy["ece"] for policy in policies]
    figures += [each[name]["value"] for each in attributes for name in ("top1", "floor_commonest")]
    figures.append(measured["attributes"]["category"]["top3"]["value"])
    assert not [figure for figure in figures if f"{figure:.2f}" not in README]
