"""Reads the YAML files beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

import yaml


def stock_questions() -> Sequence[Mapping[str, Any]]:
    """The policy questions: id, policy, label, and text by prompt category and language."""
    questions: Sequence[Mapping[str, Any]] = _read("questions.yaml")
    return questions


def stock_attributes() -> Mapping[str, Sequence[str]]:
    """The values of each attribute."""
    values: Mapping[str, Sequence[str]] = _read("attributes.yaml")["values"]
    return values


def stock_prompts() -> Mapping[str, Any]:
    """Rulebook, descriptions, attribute questions and category words: what `prompts` of a manifest holds."""
    return {
        "system": _read("rulebook.yaml"),
        "describe": _read("describe.yaml"),
        "attribute": _read("attributes.yaml")["questions"],
        "answers": {"yes": "Yes", "no": "No"},
        "categories": _read("categories.yaml"),
    }


def _read(name: str) -> Any:
    return yaml.safe_load(files(__package__).joinpath(name).read_text("utf-8"))
