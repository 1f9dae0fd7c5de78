"""The arms: who is measured, how each is started, and how it is asked."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from bench.engine import environments
from bench.engine.clients import OpenClient, as_json, http, multipart, pod, raw
from bench.engine.environments import PEERS
from ostiary.pki import create_ca
from ostiary.wire.identity import SpiffeId
from ostiary_moderation.bundle import MANIFEST

_TRUST_DOMAIN = "bench.local"
_SERVER_NAME = "pod.bench.local"


@dataclass(frozen=True)
class Site:
    """What every arm finds in the run's folder: the bundle, the task file, and settings that all share."""

    folder: Path
    bundle: Path
    task: Path
    threads: int


@dataclass(frozen=True)
class Launch:
    """One start of a server: its command, what it needs in the environment, and how it is asked."""

    command: Sequence[str]
    client: OpenClient
    port: int
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Arm:
    """One competitor. `environment`: the peer's environment it runs in; None for the project's own."""

    name: str
    title: str
    launch: Callable[[Site], Launch]
    environment: str | None = None
    packages: tuple[str, ...] = ()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _plain(mode: str) -> Callable[[Site], Launch]:
    def launch(site: Site) -> Launch:
        port = free_port()
        script = str(PEERS / "plain_server.py")
        return Launch([sys.executable, script, str(site.task), str(port), mode], http(raw), port)

    return launch


def _litserve(site: Site) -> Launch:
    port = free_port()
    script = str(PEERS / "litserve_server.py")
    command = [str(environments.python("litserve")), script, str(site.task), str(port)]
    return Launch(command, http(as_json), port)


def _ray(site: Site) -> Launch:
    port = free_port()
    script = str(PEERS / "ray_server.py")
    # It writes into the home folder; the run's own will do. Usage statistics would be sent over the network.
    env = {
        "HOME": str(site.folder),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "60",  # its five seconds are short for a small machine
    }
    command = [str(environments.python("ray")), script, str(site.task), str(port)]
    return Launch(command, http(raw), port, env)


def _bentoml(site: Site) -> Launch:
    port = free_port()
    bento = str(environments.python("bentoml").parent / "bentoml")
    place = ["--host", "127.0.0.1", "--port", str(port), "--working-dir", str(PEERS)]
    env = {
        "OSTIARY_BENCH_TASK": str(site.task),
        "BENTOML_HOME": str(site.folder),
        "BENTOML_DO_NOT_TRACK": "true",
    }
    return Launch([bento, "serve", "bentoml_server:Checker", *place], http(multipart), port, env)


def _ours(site: Site) -> Launch:
    port = free_port()
    credentials = _certificates(site.folder)
    settings = {
        "listen": f"127.0.0.1:{port}",
        "health": None,
        "tls": {name: f"{name}.pem" for name in ("ca", "cert", "key")},
        "clients": [f"spiffe://{_TRUST_DOMAIN}/role/gateway"],
        "bundle": str(site.bundle),
        "threads": site.threads,
        "log_format": "text",
    }
    config = credentials / "pod/pod.yaml"
    config.write_text(yaml.safe_dump(settings), encoding="utf-8")
    code = "from ostiary.cli.main import main; main()"
    command = [sys.executable, "-c", code, "pod", "serve", "--config", str(config)]
    manifest = yaml.safe_load((site.bundle / MANIFEST).read_text(encoding="utf-8"))
    questions = [question["id"] for question in manifest["questions"]]
    return Launch(command, pod(credentials / "gateway", _SERVER_NAME, questions), port)


def _certificates(folder: Path) -> Path:
    """A throw-away authority's certificates for a pod and a gateway, made once a run."""
    place = folder / "certificates"
    if not place.exists():
        authority = create_ca(place / "pki", _TRUST_DOMAIN)
        for role in ("pod", "gateway"):
            authority.issue(place / role, SpiffeId(_TRUST_DOMAIN, f"/role/{role}"), dns=[_SERVER_NAME])
    return place


ARMS = (
    Arm("tutorial", "tutorial loop: one generate per prompt", _plain("one-by-one")),
    Arm("batched", "batched generate, one queue", _plain("together")),
    Arm("litserve", "LitServe, dynamic batching", _litserve, "litserve", ("litserve",)),
    Arm("ray", "Ray Serve, @serve.batch", _ray, "ray", ("ray",)),
    Arm("bentoml", "BentoML, adaptive batching", _bentoml, "bentoml", ("bentoml",)),
    Arm("ours", "Ostiary pod, gRPC with mTLS", _ours),
)


def named(names: Sequence[str]) -> list[Arm]:
    """Arms by name, in the order of `ARMS`; all for no names.

    Raises:
        ValueError: there is none of that name.
    """
    known = [arm.name for arm in ARMS]
    if strange := sorted(set(names) - set(known)):
        raise ValueError(f"no such arm: {', '.join(strange)}; there are {', '.join(known)}")
    return [arm for arm in ARMS if not names or arm.name in names]
