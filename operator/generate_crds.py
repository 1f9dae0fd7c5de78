"""Writes `manifests/crds/*.yaml` from the operator's classes and the messages of `ostiary.v1`, with the
comments of the .proto files as descriptions: `python operator/generate_crds.py [FOLDER]`.
"""

import sys
from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml
from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorProto, FileDescriptorSet
from grpc_tools import protoc

from ostiary_operator.resources.crds import KINDS, Kind, definition

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "manifests/crds"
_MESSAGE_TYPE = FileDescriptorProto.MESSAGE_TYPE_FIELD_NUMBER
_NESTED_TYPE = DescriptorProto.NESTED_TYPE_FIELD_NUMBER
_FIELD = DescriptorProto.FIELD_FIELD_NUMBER


def comments() -> dict[str, str]:
    """What config.proto says beside messages and fields, by their full names.

    Raises:
        RuntimeError: protoc refused the file; it has said why on standard error.
    """
    with TemporaryDirectory() as folder:
        out = Path(folder) / "set"
        well_known = str(files("grpc_tools") / "_proto")
        command = ["protoc", f"-I{ROOT / 'proto'}", f"-I{well_known}", "--include_source_info"]
        if protoc.main([*command, f"--descriptor_set_out={out}", "ostiary/v1/config.proto"]):
            raise RuntimeError("protoc failed on ostiary/v1/config.proto")
        parsed = FileDescriptorSet.FromString(out.read_bytes())
    return {name: said for file in parsed.file for name, said in _said(file)}


def _said(file: FileDescriptorProto) -> Iterator[tuple[str, str]]:
    for location in file.source_code_info.location:
        name = _name(file, tuple(location.path))
        if name and location.leading_comments:
            yield f"{file.package}.{name}", " ".join(location.leading_comments.split())


def _name(file: FileDescriptorProto, path: Sequence[int]) -> str:
    """What a path of numbers leads to: a message, or a field of one; empty for anything else."""
    if len(path) < 2 or path[0] != _MESSAGE_TYPE:
        return ""
    message, names, rest = file.message_type[path[1]], [file.message_type[path[1]].name], path[2:]
    while len(rest) >= 2 and rest[0] == _NESTED_TYPE:
        message = message.nested_type[rest[1]]
        names.append(message.name)
        rest = rest[2:]
    if len(rest) == 2 and rest[0] == _FIELD:
        return ".".join([*names, message.field[rest[1]].name])
    return ".".join(names) if not rest else ""


def text(kind: Kind, said: dict[str, str]) -> str:
    """A kind's file."""
    return yaml.safe_dump(definition(kind, said), sort_keys=False, width=110, allow_unicode=True)


def main(folder: Path) -> None:
    """Write a file a kind."""
    folder.mkdir(parents=True, exist_ok=True)
    said = comments()
    for kind in KINDS:
        (folder / f"{kind.plural}.yaml").write_text(text(kind, said), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
