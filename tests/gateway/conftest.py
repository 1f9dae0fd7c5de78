from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from gateway.scripted_pod import Script, serving
from gateway.site import People, Running, Site
from postgres import Postgres
from postgres import serving as serving_postgres


@pytest.fixture(scope="session")
def people(tmp_path_factory: pytest.TempPathFactory) -> People:
    """An authority and everybody's certificates."""
    return People.make(tmp_path_factory.mktemp("people"))


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server."""
    with serving_postgres() as server:
        yield server


@pytest.fixture
async def script() -> Script:
    """What the pod behind `running` answers."""
    return Script()


@pytest.fixture
async def site(tmp_path: Path, people: People, script: Script) -> AsyncIterator[Site]:
    """A gateway's folder whose route leads to one scripted pod."""
    async with serving(script, people.credentials("pod")) as pod:
        yield Site.make(tmp_path / "gateway", people, [pod.address])


@pytest.fixture
async def running(site: Site) -> AsyncIterator[Running]:
    """A gateway that serves."""
    async with site.start() as gateway:
        yield gateway
