"""Promise 1: nobody unauthorised gets in."""

import asyncio
import json
import random
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import grpc
import yaml

from bench import forge
from bench.promises import oracles
from bench.promises.contract import Outcome, Promise
from bench.promises.protected import our_methods
from ostiary.wire.credentials import CredentialSource
from ostiary.wire.server import Server, ServerBuilder
from ostiary_gateway.rbac.authorizer import FileAuthorizer
from ostiary_gateway.rbac.methods import SERVICES

FULL_COUNT = 10_000
DOMAIN = "prove.ostiary.local"
KEEPER = f"spiffe://{DOMAIN}/keeper"  # named by a rule for every method, so that a server starts
METHODS_EACH = 10
_REACHED = {grpc.StatusCode.UNIMPLEMENTED}  # what a caller hears who was let in: no method has a handler here
_LONG_AGO = (-48 * forge.HOUR, -24 * forge.HOUR)
_TOMORROW = (24 * forge.HOUR, 48 * forge.HOUR)


@dataclass(frozen=True)
class Caller:
    """A certificate. `id`: the identity that it proves; empty: it proves none, and may do nothing."""

    what: str
    holder: forge.Holder | None
    id: str = ""


@dataclass(frozen=True)
class Rules:
    """A file of rules, and what it means."""

    text: str
    allows: Callable[[str, str, Mapping[str, str]], bool]


class Authorities:
    """Who issues certificates."""

    def __init__(self, folder: Path) -> None:
        self.root = forge.authority(trust_domain=DOMAIN)
        self.foreign = forge.authority("root")  # by the same name
        self.server = forge.leaf(self.root, f"spiffe://{DOMAIN}/role/gateway", dns=["localhost"])
        self.denied = forge.leaf(self.root, KEEPER)
        deny_list = folder / "deny.txt"
        deny_list.write_text(f"{self.denied.certificate.serial_number:x}\n", encoding="utf-8")
        files = self.server.write(folder / "server", self.root.certificate)
        self.credentials = CredentialSource(replace(files, deny_list=deny_list, trust_domain=DOMAIN))
        self.bad = self._bad()

    def good(self, path: str) -> Caller:
        """Somebody with an identity."""
        spiffe_id = f"spiffe://{DOMAIN}{path}"
        return Caller("an identity", forge.leaf(self.root, spiffe_id), spiffe_id)

    def _bad(self) -> list[Caller]:
        """Certificates that prove nothing, though each names the keeper, who may do everything."""
        root = self.root

        def uris(*names: str) -> forge.Holder:
            return forge.leaf(root, *names)

        return [
            Caller("no certificate", None),
            Caller("two URIs", uris(KEEPER, f"spiffe://{DOMAIN}/other")),
            Caller("a query", uris(f"{KEEPER}?role=x")),
            Caller("a fragment", uris(f"{KEEPER}#x")),
            Caller("dots", uris(f"spiffe://{DOMAIN}/x/../keeper")),
            Caller("user information", uris(f"spiffe://user@{DOMAIN}/keeper")),
            Caller("a port", uris(f"spiffe://{DOMAIN}:443/keeper")),
            Caller("a double slash", uris(f"spiffe://{DOMAIN}//keeper")),
            Caller("a slash at the end", uris(f"{KEEPER}/")),
            Caller("percent-encoding", uris(f"spiffe://{DOMAIN}/%6beeper")),
            Caller("another scheme", uris(KEEPER.replace("spiffe", "https"))),
            Caller("capitals", uris(KEEPER.replace("prove", "PROVE"))),
            Caller("another trust domain", uris("spiffe://other.local/keeper")),
            Caller("a common name alone", forge.leaf(root, common_name=KEEPER)),
            Caller("a DNS name alone", forge.leaf(root, dns=[f"{DOMAIN}"], common_name=KEEPER)),
            Caller("expired", forge.leaf(root, KEEPER, life=_LONG_AGO)),
            Caller("not valid yet", forge.leaf(root, KEEPER, life=_TOMORROW)),
            Caller("for servers alone", forge.leaf(root, KEEPER, uses=[forge.SERVER])),
            Caller("a foreign root", forge.leaf(self.foreign, KEEPER)),
            Caller("a leaf that issues", forge.leaf(forge.leaf(root, KEEPER), KEEPER)),
            Caller("on the deny-list", self.denied),
        ]


PATHS = [
    *(f"/tenant/{tenant}/role/{role}" for tenant in ("a", "b", "ab") for role in ("pipeline", "auditor")),
    "/tenant/a/role/pipeline/x", "/tenant/a/role/pipelines", "/tenant/a", "/role/pipeline", "/role/sre",
    "/keeper", "/keepers", "/keeper/x", "/tenant/_/role/pipeline",
]  # fmt: skip


def a43_rules(rng: random.Random) -> Rules:
    """A policy of gRFC A43, drawn at random."""
    methods = list(our_methods())

    def principal() -> str:
        id_ = f"spiffe://{DOMAIN}{rng.choice(PATHS)}"
        return rng.choice([id_, id_[: rng.randrange(len("spiffe://"), len(id_))] + "*", "*" + id_[-9:], "*"])

    def path() -> str:
        method = rng.choice(methods)
        service = method[: method.rindex("/") + 1]
        return rng.choice([method, method, f"{service}*", f"*{method[method.rindex('/') :]}", "*"])

    def rule(name: str) -> dict[str, Any]:
        found: dict[str, Any] = {"name": name}
        if rng.random() < 0.8:
            found["source"] = {"principals": [principal() for _ in range(rng.randint(1, 3))]}
        found["request"] = {"paths": [path() for _ in range(rng.randint(1, 4))]}
        if rng.random() < 0.3:
            values = rng.sample(["live", "dry", "dr*", "*"], 2)
            found["request"]["headers"] = [{"key": rng.choice(["X-Mode", "x-mode"]), "values": values}]
        return found

    document = {
        "name": "drawn",
        "deny_rules": [rule(f"deny-{number}") for number in range(rng.randint(0, 2))],
        "allow_rules": [
            {"name": "keeper", "source": {"principals": [KEEPER]}},
            *(rule(f"allow-{number}") for number in range(rng.randint(1, 4))),
        ],
    }
    return Rules(json.dumps(document), lambda *asked: oracles.a43(document, *asked))


def roles_rules(rng: random.Random) -> Rules:
    """A roles.yaml, drawn at random."""
    named = [path.removeprefix("/ostiary.v1.") for path in our_methods()]
    services = [f"{service.name}/*" for service in SERVICES]

    def role() -> Any:
        listed = rng.sample(named + services, rng.randint(1, 8))
        held = rng.sample(["a", "b", "ab"], rng.randint(1, 2))
        return listed if rng.random() < 0.6 else {"methods": listed, "tenants": held}

    roles = {f"r{number}": role() for number in range(rng.randint(1, 4))}
    prefixes = [
        "/tenant/{tenant}",
        "/tenant/{tenant}/role/pipeline",
        "/tenant/a",
        "/role",
        "/tenant/{tenant}/role",
    ]
    bindings = [
        {"prefix": f"spiffe://{DOMAIN}{path}", "role": rng.choice(list(roles))}
        for path in rng.sample(prefixes, rng.randint(1, 3))
    ]
    bindings += [
        {"id": f"spiffe://{DOMAIN}{path}", "role": rng.choice(list(roles)), "tenant": rng.choice(["", "a"])}
        for path in rng.sample(PATHS, rng.randint(0, 3))
        if path != "/keeper"
    ]
    roles["keeper"] = services
    document = {"roles": roles, "bindings": [*bindings, {"id": KEEPER, "role": "keeper"}]}
    return Rules(yaml.safe_dump(document), lambda id_, path, _: oracles.roles(document, id_, path))


async def reached(
    server: Server, authorities: Authorities, caller: Caller, methods: list[str], mode: str
) -> list[bool]:
    """Whether the caller got as far as each method."""
    holder = caller.holder
    credentials = grpc.ssl_channel_credentials(
        forge.pem(authorities.root.certificate),
        holder.key_pem if holder else None,
        forge.pem(holder.certificate, *holder.above) if holder else None,
    )
    options = [("grpc.ssl_target_name_override", "localhost"), ("grpc.use_local_subchannel_pool", 1)]
    found = []
    async with grpc.aio.secure_channel(server.address, credentials, options=options) as channel:
        for path in methods:
            metadata = (("x-mode", mode),) if mode else ()
            call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(path)
            try:
                await call(b"", timeout=20, metadata=metadata)
                status = grpc.StatusCode.OK
            except grpc.aio.AioRpcError as error:
                status = error.code()
            found.append(status is grpc.StatusCode.OK or status in _REACHED)
    return found


async def round_of(
    rng: random.Random, folder: Path, authorities: Authorities, rules: Rules
) -> tuple[int, int, int]:
    """Asks a server under these rules: cases, wrong allows, wrong denials."""
    file = folder / "rules"
    file.write_text(rules.text, encoding="utf-8")
    builder = ServerBuilder(
        address="127.0.0.1:0",
        health_address=None,
        credentials=authorities.credentials,
        authorizer=FileAuthorizer(file),
    )
    for service in SERVICES:
        builder.add_service(service, {})
    server = await builder.start()
    server.set_serving(True)
    callers = [*map(authorities.good, rng.sample(PATHS, 5)), *rng.sample(authorities.bad, 5)]
    cases = allowed = denied = 0
    try:
        for caller in callers:
            methods = rng.sample(list(our_methods()), METHODS_EACH)
            mode = rng.choice(["", "live", "dry", "drill", "other"])
            metadata = {"x-mode": mode} if mode else {}
            for path, got_in in zip(
                methods, await reached(server, authorities, caller, methods, mode), strict=True
            ):
                may = bool(caller.id) and rules.allows(caller.id, path, metadata)
                cases += 1
                allowed += got_in and not may
                denied += may and not got_in
    finally:
        await server.drain(0)
    return cases, allowed, denied


def ask(full_count: int, seconds: float, seed: int = 0) -> tuple[int, int, int]:
    """Rounds until so many cases were asked, or the time is up: cases, wrong allows, wrong denials."""

    async def asked() -> tuple[int, int, int]:
        ends = time.monotonic() + seconds
        cases = allowed = denied = 0
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            authorities = Authorities(folder)
            number = 0
            while cases < full_count and time.monotonic() < ends:
                rng = random.Random(f"{seed}/{number}")
                rules = (a43_rules, roles_rules)[number % 2](rng)
                found = await round_of(rng, folder, authorities, rules)
                cases, allowed, denied = cases + found[0], allowed + found[1], denied + found[2]
                number += 1
        return cases, allowed, denied

    return asyncio.run(asked())


def run(seconds: float) -> Outcome:
    """Ask as everybody, under rules of every kind."""
    cases, allowed, denied = ask(FULL_COUNT, seconds * 0.9)
    what = "certificate × method × rules cases answered against the oracle"
    return Outcome(cases, FULL_COUNT, allowed + denied, 0, what, allowed + denied == 0)


PROMISE = Promise(1, "Nobody unauthorised gets in", run)
