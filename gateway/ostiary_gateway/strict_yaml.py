"""Reads YAML without the leniency that hides a typing error: a key given twice is refused."""

from collections.abc import Hashable
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

D = TypeVar("D", bound=BaseModel)


class BadYaml(ValueError):  # noqa: N818 # it says what the text is
    """A text that is no YAML that we take: the line, counted from 1, and why."""

    def __init__(self, line: int, reason: str) -> None:
        self.line = line
        self.reason = reason
        super().__init__(f"line {line}: {reason}")


class _StrictLoader(yaml.SafeLoader):
    """The safe loader, which also refuses a mapping that names a key twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, Hashable) and key in seen:
                line = key_node.start_mark.line + 1
                raise BadYaml(line, f"{key!r} is given twice; keep one of the two")
            seen.add(key)
        return super().construct_mapping(node, deep)


def parse(text: str) -> Any:
    """The document in `text`; None where it is empty.

    Raises:
        BadYaml: it is not YAML, or names a key twice.
    """
    try:
        return yaml.load(text, Loader=_StrictLoader)  # noqa: S506 - it is a SafeLoader
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise BadYaml(line, error.problem or str(error)) from error
    except yaml.YAMLError as error:
        raise BadYaml(1, str(error)) from error


def parse_mapping(text: str) -> dict[str, Any]:
    """The document in `text`, which must be a mapping.

    Raises:
        BadYaml: as `parse`, or it is something else than a mapping.
    """
    document = parse(text)
    if not isinstance(document, dict):
        raise BadYaml(1, "a mapping of names to values is expected, such as `name: default`")
    return document


def parse_model(text: str, model: type[D]) -> D:
    """The document in `text` as a `model`.

    Raises:
        ValueError: as `parse_mapping`, or as `fit`.
    """
    return fit(parse_mapping(text), model)


def fit(document: dict[str, Any], model: type[D]) -> D:
    """A mapping as a `model`.

    Raises:
        ValueError: it does not fit the model: every wrong place is named.
    """
    try:
        return model.model_validate(document)
    except ValidationError as error:
        problems = (f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise ValueError("; ".join(problems)) from error
