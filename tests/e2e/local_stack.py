"""A whole stack on this machine, started and stopped by the real `ostiary up` and `ostiary down`."""

import asyncio
import json
import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli.command import Done, ostiary
from ostiary.demo import demo_images


@dataclass(frozen=True)
class LocalStack:
    """A stack's folder, and what people do with it."""

    root: Path

    def run(self, *arguments: str | Path, **environment: str) -> Done:
        """The `ostiary` command."""
        return asyncio.run(ostiary(*arguments, **environment))

    def up(self) -> Done:
        """`ostiary up --detach`."""
        return self.run("up", "--dir", self.root, "--detach", "--timeout", "100")

    def down(self) -> Done:
        """`ostiary down`."""
        return self.run("down", "--dir", self.root)

    def check(self, *arguments: str | Path, role: str = "pipeline") -> tuple[int, list[dict[str, Any]]]:
        """`ostiary check --json` as a role: its exit code and its lines."""
        done = self.run("check", "--profile", self.root / role, "--json", "--timeout", "60", *arguments)
        return done.code, [json.loads(line) for line in done.out.splitlines()]

    def image(self, name: str) -> Path:
        """One of the demo's images as a file."""
        path = self.root / "images" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(next(image for image in demo_images() if image.file == name).read())
        return path

    def running(self) -> bool:
        """Whether nothing of it has been stopped."""
        return all((self.root / "run" / f"{name}.pid").exists() for name in ("gateway", "pod-0"))

    def kill(self, name: str) -> None:
        """Ends a service as a crash would."""
        pid_file = self.root / "run" / f"{name}.pid"
        os.kill(json.loads(pid_file.read_text())["pid"], signal.SIGKILL)
