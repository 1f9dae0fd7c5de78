"""Reads a `GPUAutoscaler`, or its spec alone, from YAML."""

from __future__ import annotations

from typing import Any

import yaml
from pydantic import ValidationError

from ostiary_operator.autoscaling.spec import AutoscalerSpec

KIND = "GPUAutoscaler"
API_VERSION = "ostiary.dev/v1alpha1"


class BadSpec(ValueError):  # noqa: N818 # it says what the file is
    """What is wrong, with file, and line or field."""


def read_spec(text: str, source: str) -> AutoscalerSpec:
    """The spec that a text holds. Raises BadSpec."""
    try:
        document: Any = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f":{mark.line + 1}" if mark is not None else ""
        raise BadSpec(f"{source}{where}: not YAML: {getattr(error, 'problem', error)}") from error
    if not isinstance(document, dict):
        raise BadSpec(f"{source}: expected a {KIND} or its spec")
    if "kind" in document or "apiVersion" in document:
        if (document.get("apiVersion"), document.get("kind")) != (API_VERSION, KIND):
            raise BadSpec(f"{source}: expected apiVersion {API_VERSION} and kind {KIND}")
        document = document.get("spec", {})
    try:
        return AutoscalerSpec.model_validate(document)
    except ValidationError as error:
        raise BadSpec("\n".join(f"{source}: {_problem(one)}" for one in error.errors())) from error


def _problem(error: Any) -> str:
    field = ".".join(map(str, ("spec", *error["loc"])))
    return f"{field}: {error['msg'].removeprefix('Value error, ')}"
