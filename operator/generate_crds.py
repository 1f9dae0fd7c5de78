"""Writes `manifests/crds/*.yaml` from the operator's classes: `python operator/generate_crds.py [FOLDER]`."""

import sys
from pathlib import Path

import yaml

from ostiary_operator.resources.crds import KINDS, Kind, definition

FOLDER = Path(__file__).resolve().parents[1] / "manifests/crds"


def text(kind: Kind) -> str:
    """A kind's file."""
    return yaml.safe_dump(definition(kind), sort_keys=False, width=110, allow_unicode=True)


def main(folder: Path) -> None:
    """Write a file a kind."""
    folder.mkdir(parents=True, exist_ok=True)
    for kind in KINDS:
        (folder / f"{kind.plural}.yaml").write_text(text(kind), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
