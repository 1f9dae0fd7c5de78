"""`ostiary gateway try-kms` and `init --kms`."""

import asyncio
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bench.fake_kms import FakePlugin, serving
from ostiary_gateway.cli import app


async def tried(*arguments: object) -> tuple[int, str, str]:
    """In a process of its own, as people run it."""
    command = [sys.executable, "-m", "ostiary.cli", "gateway", "try-kms", *map(str, arguments)]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe)
    out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


async def test_a_plugin_that_is_well(fake: FakePlugin, socket: Path) -> None:
    """It names the KMS's key, and what an item will carry."""
    async with serving(fake, socket):
        code, out, err = await tried(socket)
    assert (code, err) == (0, "")
    assert f"well, under {fake.kms.key_id}: a key there and back in" in out
    assert fake.asked == {"Status": 1, "Encrypt": 1, "Decrypt": 1}


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"version": "v1beta1"}, "speaks version 'v1beta1' of the API"),
        ({"plaintext": b"x" * 32}, "Decrypt does not give back what Encrypt was given"),
        ({"told_key_id": "other"}, "Encrypt and Status name different keys"),
    ],
    ids=["version", "decrypt", "rotation"],
)
async def test_a_plugin_that_is_not(
    fake: FakePlugin, socket: Path, wrong: dict[str, object], words: str
) -> None:
    """What a gateway would trip over is told, with exit code 1."""
    for name, value in wrong.items():
        setattr(fake, name, value)
    async with serving(fake, socket):
        code, out, err = await tried(socket, "--timeout", "5")
    assert (code, out) == (1, "")
    assert words in err


async def test_no_plugin(socket: Path) -> None:
    """The socket is named."""
    code, _, err = await tried(socket)
    assert code == 1
    assert f"the KMS plug-in at {socket}: Status: UNAVAILABLE" in err


def test_init_without_a_key_file(tmp_path: Path) -> None:
    """A key that nobody needs is not left lying about."""
    told = CliRunner().invoke(app, ["init", str(tmp_path), "--kms"])
    assert told.exit_code == 0
    assert (tmp_path / "log.key").exists()
    assert not (tmp_path / "evidence.key").exists()
