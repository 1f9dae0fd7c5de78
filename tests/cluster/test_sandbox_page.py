"""The sandbox's page: what it shows works, and what it lists is there."""

import asyncio
import re
from pathlib import Path
from typing import Any

import yaml

from ostiary_operator.sandbox.controllers.weather import PLACE
from ostiary_operator.sandbox.faults import Faults, Plan

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "sandbox.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_its_python_runs() -> None:
    """The example for simulations passes an hour."""
    (code,) = blocks("python")
    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102  # our own page
    asyncio.run(names["an_hour"]())


def test_its_faults_are_faults() -> None:
    """The ConfigMap is the one that is followed, and names faults that there are; the table names all."""
    (text,) = blocks("yaml")
    found = yaml.safe_load(text)
    assert (found["metadata"]["namespace"], found["metadata"]["name"]) == PLACE
    Faults().set(**{name: float(value) for name, value in found["data"].items()})
    assert all(f"`{name}`" in PAGE for name in Plan.__dataclass_fields__)
