"""Every dependency is pinned and explained."""

import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

packaging = pytest.importorskip("packaging.requirements", reason="packaging parses requirement lines")

REPOSITORY = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def direct() -> list[str]:
    """Names of all requirements that the project states, but for itself."""
    lines = [*PROJECT["dependencies"], *(line for lines in EXTRAS.values() for line in lines)]
    names = {canonical(packaging.Requirement(line).name) for line in lines}
    return sorted(names - {"ostiary"})


def pinned() -> dict[str, str]:
    lines = (REPOSITORY / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pairs = (line.split("==") for line in lines if line and not line.startswith("#"))
    return {canonical(name): version for name, version in pairs}


def installed_closure() -> dict[str, str]:
    """Name → version of everything that the installed extras pull in here."""
    found: dict[str, str] = {}
    waiting = [packaging.Requirement(f"ostiary[{','.join(EXTRAS)}]")]
    while waiting:
        requirement = waiting.pop()
        try:
            distribution = metadata.distribution(requirement.name)
        except metadata.PackageNotFoundError:
            continue  # an extra that is not installed here, such as [nudenet]
        name = canonical(requirement.name)
        key = f"{name}[{','.join(sorted(requirement.extras))}]"
        if key in found:
            continue
        found[key] = distribution.version
        for line in distribution.requires or ():
            inner = packaging.Requirement(line)
            environments = [{"extra": extra} for extra in requirement.extras] or [{"extra": ""}]
            if inner.marker is None or any(
                inner.marker.evaluate(environment) for environment in environments
            ):
                waiting.append(inner)
    return {
        key.partition("[")[0]: version for key, version in found.items() if not key.startswith("ostiary[")
    }


@pytest.mark.parametrize("name", direct())
def test_explained(name: str) -> None:
    """`docs/dependencies.md` says why the project needs it."""
    text = canonical((REPOSITORY / "docs/dependencies.md").read_text(encoding="utf-8"))
    short = name if not name.startswith("types-") else "types-"
    assert short in text or short.removeprefix("opentelemetry") in text


@pytest.mark.parametrize("name", direct())
def test_pinned(name: str) -> None:
    """`constraints.txt` names one version of it."""
    assert name in pinned()


def test_the_environment_is_the_pinned_one() -> None:
    """Nothing that is pulled in is unpinned, and nothing is here in another version."""
    versions = pinned()
    wrong = {
        name: (version, versions.get(name))
        for name, version in installed_closure().items()
        if version.partition("+")[0] != versions.get(name)
    }
    assert not wrong


def test_nothing_under_the_affero_licence_comes_unasked() -> None:
    """The nudity detector's licence binds its users: no extra but its own brings it."""
    bringing = [extra for extra, lines in EXTRAS.items() if any("nudenet" in line for line in lines)]
    assert bringing == ["nudenet"]
