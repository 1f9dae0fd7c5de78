"""Promise 2: every RPC is protected."""

import asyncio
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import yaml
from google.protobuf.descriptor import MethodDescriptor
from grpc_reflection.v1alpha import reflection_pb2

from bench.promises.contract import Outcome, Promise
from ostiary.cli.stack.files import free_ports
from ostiary.pki import Authority, create_ca
from ostiary.v1 import admin_pb2, audit_pb2, inference_pb2, moderation_pb2
from ostiary.wire import inspection
from ostiary.wire.channel import open_channel
from ostiary.wire.credentials import CredentialFiles, CredentialSource
from ostiary.wire.identity import SpiffeId
from ostiary.wire.process import load_settings
from ostiary.wire.server import Server
from ostiary_gateway.init import init_gateway
from ostiary_gateway.serve import gateway
from ostiary_gateway.settings import GatewaySettings

DOMAIN = "prove.ostiary.local"
ORIGIN = f"{DOMAIN}/log"
# No check gets as far as a pod here.
ROUTE = "name: main\nversions: [{name: v1, weight: 10000, endpoints: [{address: 127.0.0.1:9}]}]\n"
# Whoever may watch would otherwise wait for outcomes that never come.
BODIES = {
    "/ostiary.v1.ModerationService/WatchChecks": moderation_pb2.WatchChecksRequest(
        cursor="none"
    ).SerializeToString()
}
# Reached without being ours: none of them may be served on the port that callers use.
FOREIGN = (
    "/grpc.health.v1.Health/Check",
    "/grpc.health.v1.Health/Watch",
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.channelz.v1.Channelz/GetServers",
    "/ostiary.v1.ModerationService/NoSuchMethod",
)
_ASKED_AGAIN = 10
# With a rule, and without: both are asked of every method.
ROLES = ("pipeline", "auditor", "lead-auditor", "compliance-admin", "sre", "console", "stranger")


def our_methods() -> dict[str, MethodDescriptor]:
    """Every method of the contract, by its path on the wire."""
    modules = (moderation_pb2, audit_pb2, admin_pb2, inference_pb2)
    services = [service for module in modules for service in module.DESCRIPTOR.services_by_name.values()]
    return {
        f"/{service.full_name}/{method.name}": method for service in services for method in service.methods
    }


def inspection_methods() -> dict[str, MethodDescriptor]:
    """Every method of the inspection listener: gRPC's health, reflection and channelz."""
    return {
        f"/{service.full_name}/{method.name}": method
        for service in inspection.SERVICES
        for method in service.methods
    }


def named_by_role(roles_file: Path) -> dict[str, set[str]]:
    """Role → methods that its rules name, read straight from the file: the oracle."""
    written = yaml.safe_load(roles_file.read_text(encoding="utf-8"))["roles"]
    paths = [*our_methods(), *inspection_methods()]
    return {
        role: {path for path in paths for rule in rules if _names(rule, path)}
        for role, rules in written.items()
    }


def _names(rule: str, path: str) -> bool:
    service, method = rule.split("/")
    package_service, name = path.removeprefix("/").split("/")
    return package_service.rpartition(".")[2] == service and method in ("*", name)


def prepare(folder: Path) -> Path:
    """A gateway's folder with certificates for it and for each role; returns its settings file."""
    create_ca(folder / "pki", DOMAIN)
    authority = Authority.load(folder / "pki")
    init_gateway(folder, trust_domain=DOMAIN, origin=ORIGIN)
    _issue(authority, folder, "/role/gateway", ("localhost",))
    for role in ROLES:
        _issue(authority, folder / role, f"/tenant/t/role/{role}", ())
    (folder / "route.yaml").write_text(ROUTE, encoding="utf-8")
    settings = {
        "listen": "127.0.0.1:0",
        "health": "127.0.0.1:0",
        "inspect": f"127.0.0.1:{free_ports(1)[0]}",
        "tls": {"ca": "ca.pem", "cert": "cert.pem", "key": "key.pem", "trust_domain": DOMAIN},
        "roles": "roles.yaml",
        "route": "route.yaml",
        "policy": "policy.yaml",
        "store": "ostiary.db",
        "log": {"origin": ORIGIN, "key": "log.key", "dir": "log"},
        "evidence": {"dir": "evidence", "key": "evidence.key"},
    }
    path = folder / "gateway.yaml"
    path.write_text(yaml.safe_dump(settings), encoding="utf-8")
    return path


def _issue(authority: Authority, out: Path, path: str, dns: tuple[str, ...]) -> None:
    identity = SpiffeId(DOMAIN, path)
    authority.issue(out=out, id=identity, dns=dns, ips=(), lifetime=timedelta(hours=2))


def credentials(folder: Path) -> CredentialSource:
    """The credentials in a folder."""
    return CredentialSource(CredentialFiles(folder / "ca.pem", folder / "cert.pem", folder / "key.pem"))


async def status_of(channel: grpc.aio.Channel, path: str, *, streams: bool) -> grpc.StatusCode:
    """What an empty call of the method ends with, or one that is refused for what it says.

    A stream that is refused while its first message is on the way may end as INTERNAL on the caller's side,
    whatever the server said (grpc#36066): such a one is asked again.
    """
    for _ in range(_ASKED_AGAIN):
        status = await _status_of(channel, path, streams=streams)
        if not streams or status is not grpc.StatusCode.INTERNAL:
            break
    return status


async def _status_of(channel: grpc.aio.Channel, path: str, *, streams: bool) -> grpc.StatusCode:
    if streams:
        calling: grpc.aio.StreamStreamMultiCallable[bytes, bytes] = channel.stream_stream(path)
        call = calling(iter([BODIES.get(path, b"")]), timeout=20)
        try:
            async for _ in call:
                pass
        except grpc.aio.AioRpcError as error:
            return error.code()
        return grpc.StatusCode.OK
    asking: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(path)
    try:
        await asking(b"", timeout=20)
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK


def as_ruled(path: str, status: grpc.StatusCode, *, allowed: bool) -> bool:
    """Whether the answer is what the rules ask for; a method not built yet is refused all the same."""
    if path.startswith("/ostiary.v1.InferenceService/"):
        return status is grpc.StatusCode.UNIMPLEMENTED  # pods serve it, gateways do not
    return (status is grpc.StatusCode.PERMISSION_DENIED) is not allowed


async def services_at(channel: grpc.aio.Channel) -> set[str]:
    """What reflection says is there; it is asked as somebody who may."""
    info: grpc.aio.StreamStreamMultiCallable[Any, Any] = channel.stream_stream(
        f"/{inspection.REFLECTION.full_name}/ServerReflectionInfo",
        reflection_pb2.ServerReflectionRequest.SerializeToString,
        reflection_pb2.ServerReflectionResponse.FromString,
    )
    asked = iter([reflection_pb2.ServerReflectionRequest(list_services="")])
    async for response in info(asked, timeout=20):
        return {service.name for service in response.list_services_response.service}
    return set()


async def wrongly_inspected(folder: Path, address: str) -> tuple[int, int]:
    """As `wrongly_open`, at the inspection listener, and whether a service is there that nobody asked for."""
    oracle = named_by_role(folder / "roles.yaml")
    tried = wrong = 0
    for role in ROLES:
        async with open_channel(address, credentials(folder / role), server_name="localhost") as channel:
            for path, method in inspection_methods().items():
                streams = method.client_streaming or method.server_streaming
                status = await status_of(channel, path, streams=streams)
                tried += 1
                wrong += (status is grpc.StatusCode.PERMISSION_DENIED) is (path in oracle.get(role, set()))
            for path in our_methods():
                tried += 1
                wrong += await status_of(channel, path, streams=False) is not grpc.StatusCode.UNIMPLEMENTED
            if role == "sre":
                known = {path.split("/")[1] for path in (*our_methods(), *inspection_methods())}
                there = await services_at(channel)
                tried += 1
                wrong += not there or not there <= known
    return tried, wrong


async def wrongly_open(folder: Path, server: Server) -> tuple[int, int]:
    """How many (role, method) pairs were tried, and how many got further than the rules say."""
    oracle = named_by_role(folder / "roles.yaml")
    tried = wrong = 0
    for role in ROLES:
        async with open_channel(
            server.address, credentials(folder / role), server_name="localhost"
        ) as channel:
            for path, method in our_methods().items():
                streams = method.client_streaming or method.server_streaming
                status = await status_of(channel, path, streams=streams)
                tried += 1
                wrong += not as_ruled(path, status, allowed=path in oracle.get(role, set()))
            for path in FOREIGN:
                tried += 1
                wrong += await status_of(channel, path, streams=False) is not grpc.StatusCode.UNIMPLEMENTED
    return tried, wrong


def run(seconds: float) -> Outcome:
    """Ask every method as every role, and as one without a role."""

    async def asked() -> tuple[int, int]:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            settings = load_settings(GatewaySettings, prepare(folder), "OSTIARY_PROVE")
            async with asyncio.timeout(max(seconds, 60.0)), gateway(settings) as server:
                assert settings.inspect is not None
                called = await wrongly_open(folder, server)
                inspected = await wrongly_inspected(folder, settings.inspect)
                return called[0] + inspected[0], called[1] + inspected[1]

    tried, wrong = asyncio.run(asked())
    return Outcome(tried, tried, wrong, 0, "pairs of role and method answered against the rules", wrong == 0)


PROMISE = Promise(2, "Every RPC is protected", run)
