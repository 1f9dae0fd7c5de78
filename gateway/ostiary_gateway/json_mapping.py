"""Messages that operators write: the proto3 JSON mapping, as YAML."""

from typing import TypeVar

from google.protobuf import json_format
from google.protobuf.message import Message

from ostiary_gateway import strict_yaml

M = TypeVar("M", bound=Message)


def parse_message(text: str, kind: type[M]) -> M:
    """The message of type `kind` that `text` holds.

    Raises:
        ValueError: it is not YAML, names a field that `kind` lacks, or gives one a wrong value; the message
            says where.
    """
    document = strict_yaml.parse_mapping(text)
    try:
        return json_format.ParseDict(document, kind())
    except json_format.ParseError as error:
        raise ValueError(" ".join(str(error).split())) from error
