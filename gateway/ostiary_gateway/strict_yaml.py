"""Reads YAML without the leniency that hides a typing error: a key given twice is refused."""

from collections.abc import Hashable
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

D = TypeVar("D", bound=BaseModel)


class _StrictLoader(yaml.SafeLoader):
    """The safe loader, which also refuses a mapping that names a key twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, Hashable) and key in seen:
                line = key_node.start_mark.line + 1
                raise ValueError(f"line {line}: {key!r} is given twice; keep one of the two")
            seen.add(key)
        return super().construct_mapping(node, deep)


def parse(text: str) -> Any:
    """The document in `text`; None where it is empty.

    Raises:
        ValueError: it is not YAML, or names a key twice; the message gives the line.
    """
    try:
        return yaml.load(text, Loader=_StrictLoader)  # noqa: S506 - it is a SafeLoader
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise ValueError(f"{line}{error.problem or error}") from error
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


def parse_mapping(text: str) -> dict[str, Any]:
    """The document in `text`, which must be a mapping.

    Raises:
        ValueError: as `parse`, or it is something else than a mapping.
    """
    document = parse(text)
    if not isinstance(document, dict):
        raise ValueError("a mapping of names to values is expected, such as `name: default`")
    return document


def parse_model(text: str, model: type[D]) -> D:
    """The document in `text` as a `model`.

    Raises:
        ValueError: as `parse_mapping`, or it does not fit the model: every wrong place is named.
    """
    try:
        return model.model_validate(parse_mapping(text))
    except ValidationError as error:
        problems = (f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise ValueError("; ".join(problems)) from error
