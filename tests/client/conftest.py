"""Certificates and the scripted server, for the client's tests."""

from collections.abc import AsyncIterator

import pytest

from client.scripted_gateway import Credentials, Script, serving, verdict
from ostiary.client import Profile
from ostiary.v1.decision_pb2 import VERDICT_ALLOW


@pytest.fixture(scope="session")
def credentials(tmp_path_factory: pytest.TempPathFactory) -> Credentials:
    return Credentials.make(tmp_path_factory.mktemp("credentials"))


@pytest.fixture
def script() -> Script:
    return Script([verdict(VERDICT_ALLOW)])


@pytest.fixture
async def profile(script: Script, credentials: Credentials) -> AsyncIterator[Profile]:
    async with serving(script, credentials) as server:
        yield credentials.profile(server.address)
