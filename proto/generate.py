"""Generates the Python stubs and type stubs beside the .proto files.

`python proto/generate.py [OUT]` writes below OUT, by default beside the sources.
"""

import sys
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent
# Our contract, and that of others which we call.
FOLDERS = ("ostiary/v1", "ostiary/kms/v2")


def generate(out: Path) -> None:
    """Generate all stubs below `out`.

    Raises:
        RuntimeError: protoc refused a file; it has said why on standard error.
    """
    found = (path for folder in FOLDERS for path in (ROOT / folder).glob("*.proto"))
    sources = sorted(path.relative_to(ROOT).as_posix() for path in found)
    with_services = [name for name in sources if "\nservice " in (ROOT / name).read_text(encoding="utf-8")]
    well_known = str(files("grpc_tools") / "_proto")
    scripts = Path(sys.executable).parent
    include = ["protoc", f"-I{ROOT}", f"-I{well_known}"]
    messages = [
        *(f"--plugin=protoc-gen-mypy={scripts / 'protoc-gen-mypy'}", f"--mypy_out=quiet:{out}"),
        f"--python_out={out}",
    ]
    services = [
        *(
            f"--plugin=protoc-gen-mypy_grpc={scripts / 'protoc-gen-mypy_grpc'}",
            f"--mypy_grpc_out=quiet:{out}",
        ),
        f"--grpc_python_out={out}",
    ]
    for options, names in ((messages, sources), (services, with_services)):
        if protoc.main([*include, *options, *names]):
            raise RuntimeError(f"protoc failed on {', '.join(names)}")


if __name__ == "__main__":
    generate(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT)
