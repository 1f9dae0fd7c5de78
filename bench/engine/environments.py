"""The peers' environments: one each, made from pinned requirements, so that none bends the project's own."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
PEERS = Path(__file__).resolve().parent / "peers"
ENVIRONMENTS = REPOSITORY / "build/bench/envs"
_SECONDS = 1800


class NoEnvironmentError(RuntimeError):
    """A peer's environment cannot be made here; the message says why."""


def python(name: str) -> Path:
    """The interpreter of a peer's environment, made or not."""
    return ENVIRONMENTS / name / "bin/python"


def missing(name: str, peers: Path = PEERS) -> str | None:
    """Why a peer's environment is not there, in words; None where it is ready.

    `peers` is the folder of `requirements-NAME.txt`.
    """
    ready = ENVIRONMENTS / name / ".ready"
    if not python(name).exists() or not ready.exists():
        return f"no environment: make bench-{peers.parent.name} makes it"
    return (
        None
        if ready.read_text(encoding="utf-8") == _digest(name, peers)
        else "environment of other requirements"
    )


def make(name: str, peers: Path = PEERS) -> None:
    """Make a peer's environment, unless it is ready. Raises NoEnvironmentError."""
    if missing(name, peers) is None:
        return
    folder = ENVIRONMENTS / name
    _run([sys.executable, "-m", "venv", "--clear", str(folder)])
    install = [str(python(name)), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    _run([*install, "--requirement", str(peers / f"requirements-{name}.txt")])
    (folder / ".ready").write_text(_digest(name, peers), encoding="utf-8")


def versions(name: str, packages: tuple[str, ...]) -> dict[str, str]:
    """Versions of packages in a peer's environment."""
    code = "import sys; from importlib.metadata import version; print(*map(version, sys.argv[1:]))"
    done = subprocess.run(
        [str(python(name)), "-c", code, *packages], capture_output=True, text=True, check=True
    )
    return dict(zip(packages, done.stdout.split(), strict=True))


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoEnvironmentError(str(error)) from error
    if done.returncode:
        raise NoEnvironmentError(" ".join(done.stderr.strip().splitlines()[-2:]) or f"{command[0]} failed")


def _digest(name: str, peers: Path) -> str:
    return hashlib.sha256((peers / f"requirements-{name}.txt").read_bytes()).hexdigest()
