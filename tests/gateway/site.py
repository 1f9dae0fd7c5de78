"""A gateway as it runs in production, on 127.0.0.1, with certificates for everybody who calls it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import yaml

from ostiary.pki import Authority, create_ca
from ostiary.v1.moderation_pb2_grpc import ModerationServiceStub
from ostiary.wire.channel import open_channel
from ostiary.wire.credentials import CredentialFiles, CredentialSource
from ostiary.wire.identity import SpiffeId
from ostiary.wire.process import load_settings
from ostiary.wire.server import Server
from ostiary_gateway.init import init_gateway
from ostiary_gateway.serve import gateway
from ostiary_gateway.settings import GatewaySettings

if TYPE_CHECKING:
    from ostiary.v1.moderation_pb2_grpc import ModerationServiceAsyncStub

DOMAIN = "ostiary.local"
PEOPLE = {
    "gateway": "/role/gateway",
    "pod": "/role/pod",
    "pipeline": "/tenant/demo/role/pipeline",
    "stranger": "/tenant/other/role/pipeline",
    "auditor": "/tenant/demo/role/auditor",
    "anna": "/tenant/demo/role/auditor/anna",
    "bert": "/tenant/demo/role/auditor/bert",
    "lead": "/tenant/demo/role/lead-auditor",
    "admin": "/tenant/demo/role/compliance-admin",
    "nobody": "/tenant/demo/role/nobody",
}


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that happens beside the test, at most ten seconds."""
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come to be")


@dataclass(frozen=True)
class People:
    """An authority and everybody's certificates."""

    folder: Path
    authority: Authority

    @classmethod
    def make(cls, folder: Path) -> "People":
        people = cls(folder, create_ca(folder / "ca", DOMAIN))
        for name, path in PEOPLE.items():
            people.issue(name, path)
        return people

    def issue(self, name: str, path: str) -> None:
        dns = [f"{name}.{DOMAIN}", "localhost"]
        self.authority.issue(self.folder / name, SpiffeId(DOMAIN, path), dns, [ip_address("127.0.0.1")])

    def files(self, name: str) -> CredentialFiles:
        folder = self.folder / name
        return CredentialFiles(folder / "ca.pem", folder / "cert.pem", folder / "key.pem")

    def credentials(self, name: str) -> CredentialSource:
        return CredentialSource(self.files(name))


@dataclass(frozen=True)
class Site:
    """A gateway's folder. `start` runs what stands in it."""

    folder: Path
    people: People

    @classmethod
    def make(cls, folder: Path, people: People, endpoints: Sequence[str]) -> "Site":
        init_gateway(folder, trust_domain=DOMAIN, origin="ostiary.local/log")
        site = cls(folder, people)
        site.route(endpoints)
        return site

    def route(self, endpoints: Sequence[str], **more: object) -> None:
        """Write route.yaml: one version, `local`."""
        pods = [{"address": address, "serverName": f"pod.{DOMAIN}"} for address in endpoints]
        version = {"name": "local", "weight": 10_000, "endpoints": pods}
        self.write("route.yaml", {"name": "default", "versions": [version], **more})

    def write(self, name: str, values: Mapping[str, object]) -> None:
        staged = self.folder / f"{name}.new"
        staged.write_text(yaml.safe_dump(dict(values)), encoding="utf-8")
        staged.replace(self.folder / name)

    def settings(self, **more: object) -> GatewaySettings:
        """gateway.yaml, written and loaded as `ostiary gateway serve` does."""
        tls = {name: str(path) for name, path in vars(self.people.files("gateway")).items() if path}
        values = {
            "listen": "127.0.0.1:0",
            "health": "127.0.0.1:0",
            "tls": tls,
            "roles": "roles.yaml",
            "route": "route.yaml",
            "policy": "policy.yaml",
            "store": "data/ostiary.db",
            "log": {"origin": "ostiary.local/log", "key": "log.key", "dir": "log"},
            "evidence": {"dir": "evidence", "key": "evidence.key"},
            "drain_seconds": 0,
            **more,
        }
        self.write("gateway.yaml", values)
        return load_settings(GatewaySettings, self.folder / "gateway.yaml", "OSTIARY_GATEWAY_", {})

    @asynccontextmanager
    async def start(self, **more: object) -> AsyncIterator["Running"]:
        async with gateway(self.settings(**more)) as server:
            running = Running(server, self.people)
            try:
                yield running
            finally:
                await running.close()


class Running:
    """A gateway that serves, and channels to it."""

    def __init__(self, server: Server, people: People) -> None:
        self.server = server
        self._people = people
        self._channels: dict[str, grpc.aio.Channel] = {}

    def channel(self, who: str) -> grpc.aio.Channel:
        if who not in self._channels:
            credentials = self._people.credentials(who)
            self._channels[who] = open_channel(
                self.server.address, credentials, server_name=f"gateway.{DOMAIN}"
            )
        return self._channels[who]

    def as_(self, who: str) -> "ModerationServiceAsyncStub":
        stub: ModerationServiceAsyncStub = ModerationServiceStub(self.channel(who))
        return stub

    async def close(self) -> None:
        for channel in self._channels.values():
            await channel.close()


def profile_of(site: Site, running: Running) -> Path:
    """A compliance administrator's profile."""
    folder = site.people.folder / "admin"
    values = {"endpoint": running.server.address, "server_name": f"gateway.{DOMAIN}"}
    values |= {"ca": "ca.pem", "cert": "cert.pem", "key": "key.pem"}
    (folder / "profile.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    return folder
