"""kubectl as tests run it."""

import os
import platform
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

_UNPACKED = Path(__file__).resolve().parents[2] / ".venv" / "kubectl"


def binaries() -> list[Path]:
    """What OSTIARY_KUBECTL names, else what `make test` unpacked, else the one on the PATH."""
    if named := os.environ.get("OSTIARY_KUBECTL"):
        return [Path(one) for one in named.split(os.pathsep)]
    here = (platform.system(), platform.machine()) == ("Linux", "x86_64")
    unpacked = sorted(_UNPACKED.glob("v*/kubectl")) if here else []
    if unpacked:
        return unpacked
    found = shutil.which("kubectl")
    return [Path(found)] if found else []


def name_of(path: Path) -> str:
    return "-".join(path.parts[-2:])


class Kubectl:
    """One kubectl, one namespace."""

    def __init__(self, binary: Path, kubeconfig: Path, home: Path, namespace: str) -> None:
        self.namespace = namespace
        self._command = [str(binary), "--kubeconfig", str(kubeconfig), "--namespace", namespace]
        self._environment = {
            "HOME": str(home),
            "PATH": os.environ["PATH"],
            "KUBECTL_PORT_FORWARD_WEBSOCKETS": "false",
        }

    def run(self, *arguments: str, stdin: Any = None, fails: bool = False, code: int = 0) -> str:
        """Output of a command that ends with `code`, or what one that fails says; stdin is sent as YAML."""
        text = None if stdin is None else yaml.safe_dump(stdin)
        done = subprocess.run(
            [*self._command, *arguments],
            env=self._environment,
            input=text,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        told = done.stdout + done.stderr
        assert done.returncode != 0 if fails else done.returncode == code, told
        return done.stderr if fails else done.stdout

    @contextmanager
    def started(self, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
        """A command that goes on until the block ends; what it prints and what it logs come together."""
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        with subprocess.Popen([*self._command, *arguments], env=self._environment, **pipes) as process:
            try:
                yield process
            finally:
                process.kill()


def column(table: str, name: str) -> list[str]:
    """The cells of one column."""
    head, *rows = table.splitlines()
    start = head.index(name)
    return [row[start:].split()[0] for row in rows]
