"""The README's commands and code do what it says, in its order."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(sh|python)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
PHOTO = REPOSITORY / "proto/ostiary/demo/images/coffee.jpg"


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
    assert BLOCKS[0][1].startswith("ostiary up")
    assert BLOCKS[-1][1].startswith("ostiary down")
    try:
        for language, code in BLOCKS:
            done = subprocess.run(
                script(language, code),
                cwd=tmp_path,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, f"{code}\n{done.stdout}{done.stderr}"
    finally:
        subprocess.run(script(*BLOCKS[-1]), cwd=tmp_path, env=environment, capture_output=True, check=False)


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\bmake ([a-z]+)", README))))
def test_make_targets_exist(target: str) -> None:
    """The README names no target that make does not know."""
    subprocess.run(["make", "--dry-run", target], cwd=REPOSITORY, check=True, capture_output=True)
