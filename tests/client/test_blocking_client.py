"""The client for code without asyncio."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml

from client.scripted_gateway import CANONICAL, Script
from ostiary import Client, OstiaryError, Profile, Verdict
from ostiary.v1.moderation_pb2 import CheckRequest


def connect(profile: Profile) -> Client:
    return Client(
        profile.endpoint,
        ca=profile.ca,
        cert=profile.cert,
        key=profile.key,
        server_name=profile.server_name,
    )


async def test_check(script: Script, profile: Profile) -> None:
    """It checks, hands out the canonical image, and closes."""

    def work() -> None:
        with connect(profile) as client:
            result = client.check(b"image", title="Cup")
            assert result.verdict is Verdict.ALLOW
            assert client.canonical_image(result) == CANONICAL
            assert client.check_request(CheckRequest()).check_id == result.check_id

    await asyncio.to_thread(work)
    assert script.requests[0].listing.title == "Cup"


async def test_from_profile(profile: Profile, tmp_path: Path) -> None:
    """A folder with a profile is all that a caller needs."""
    (tmp_path / "profile.yaml").write_text(yaml.safe_dump(profile.model_dump(mode="json")))

    def work() -> Verdict:
        with Client.from_profile(tmp_path) as client:
            return client.check(b"image").verdict

    assert await asyncio.to_thread(work) is Verdict.ALLOW


async def test_threads_share_it(script: Script, profile: Profile) -> None:
    """Several threads use one client at the same time."""

    def work() -> int:
        with connect(profile) as client, ThreadPoolExecutor(8) as pool:
            results = pool.map(lambda _: client.check(b"image").verdict, range(40))
            return sum(verdict is Verdict.ALLOW for verdict in results)

    assert await asyncio.to_thread(work) == 40
    assert len(script.requests) == 40


def test_closed_twice_and_used_after(tmp_path: Path) -> None:
    """Closing twice is no error; using it afterwards is, in words."""
    client = Client("127.0.0.1:1", ca=tmp_path, cert=tmp_path, key=tmp_path)
    client.close()
    client.close()
    with pytest.raises(OstiaryError, match="closed"):
        client.check(b"image")
