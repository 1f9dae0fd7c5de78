"""Objects as they are written → messages."""

from typing import TypeVar

from google.protobuf import json_format
from google.protobuf.message import Message

from ostiary_gateway.kubernetes.api_server import Json

M = TypeVar("M", bound=Message)


def message_of(written: Json, kind: type[M]) -> M:
    """The message of type `kind` that an object's spec holds, called as the object is.

    Raises:
        ValueError: it names a field that `kind` lacks, gives one a wrong value, or another name; the message
            says where.
    """
    spec, name = written.get("spec"), written["metadata"]["name"]
    if not isinstance(spec, dict):
        raise ValueError("spec: a mapping of names to values is expected")
    if spec.get("name", name) != name:
        raise ValueError(f"name: leave it out: the object is called {name!r}, not {spec['name']!r}")
    try:
        return json_format.ParseDict({**spec, "name": name}, kind())
    except json_format.ParseError as error:
        raise ValueError(" ".join(str(error).split())) from error
