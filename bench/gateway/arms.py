"""The arms: what stands between the caller and the pod, how each is started, and how it is asked."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.engine import environments
from bench.engine.arms import free_port
from bench.gateway.site import Site

REPOSITORY = environments.REPOSITORY
PEERS = Path(__file__).resolve().parent / "peers"
_ROOTS = ("proto", "gateway", "")


@dataclass(frozen=True)
class Place:
    """What every arm is given: the run's folder, the pod's address, and the cores of servers."""

    site: Site
    pod: str
    cores: Sequence[int]


@dataclass(frozen=True)
class Launch:
    """One start of a server. Without a command, the pod itself is asked."""

    command: Sequence[str]
    address: str
    way: str
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Arm:
    """One competitor. `missing` says why it cannot run here, in words; None: it can."""

    name: str
    title: str
    launch: Callable[[Place], Launch]
    missing: Callable[[], str | None] = lambda: None
    environment: str | None = None
    packages: tuple[str, ...] = ()


def _peer(environment: str) -> Callable[[], str | None]:
    return lambda: environments.missing(environment, PEERS)


def _nginx_missing() -> str | None:
    return None if shutil.which("nginx") else "no nginx: install Debian's package (apt-get install nginx)"


def _paths() -> dict[str, str]:
    """What peers import of this repository: messages and the benchmark's own files."""
    return {"PYTHONPATH": os.pathsep.join(str(REPOSITORY / root) for root in _ROOTS)}


def _direct(place: Place) -> Launch:
    return Launch((), place.pod, "infer")


def _proxy(place: Place) -> Launch:
    port = free_port()
    own = str(place.site.credentials("server"))
    command = [sys.executable, "-m", "bench.gateway.peers.proxy", str(port), place.pod, own]
    return Launch(command, f"127.0.0.1:{port}", "infer", _paths())


def _nginx(place: Place) -> Launch:
    port, folder = free_port(), place.site.folder / "nginx"
    folder.mkdir(exist_ok=True)
    text = (
        (PEERS / "nginx.conf")
        .read_text(encoding="utf-8")
        .format(
            workers=len(place.cores),
            folder=folder,
            upstream=place.pod,
            port=port,
            credentials=place.site.credentials("server"),
        )
    )
    path = folder / "nginx.conf"
    path.write_text(text, encoding="utf-8")
    # Compiled in, its logs lie where only root may write.
    command = ["nginx", "-p", str(folder), "-c", str(path), "-e", "stderr"]
    return Launch(command, f"127.0.0.1:{port}", "infer")


def _ray(place: Place) -> Launch:
    port = free_port()
    script = str(PEERS / "ray_server.py")
    own = str(place.site.credentials("server"))
    # It writes into the home folder; the run's own will do. Usage statistics would be sent over the network.
    env = {
        **_paths(),
        "HOME": str(place.site.folder),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "60",  # its five seconds are short for a small machine
    }
    command = [str(environments.python("gateway-ray")), script, str(port), place.pod, own]
    return Launch(command, f"127.0.0.1:{port}", "plain", env)


def _litserve(place: Place) -> Launch:
    port = free_port()
    script = str(PEERS / "litserve_server.py")
    own = str(place.site.credentials("server"))
    command = [str(environments.python("gateway-litserve")), script, str(port), place.pod, own]
    return Launch(command, f"127.0.0.1:{port}", "json", _paths())


def _ours(place: Place) -> Launch:
    port = free_port()
    shutil.rmtree(place.site.folder / "gateway", ignore_errors=True)
    # Callers of a closed loop come back at once: they wait for their place, and are not sent away.
    command = place.site.gateway("gateway", port, [place.pod], admission={"max_wait": 5.0})
    return Launch(command, f"127.0.0.1:{port}", "check")


ARMS = (
    Arm("direct", "the pod itself, nothing between", _direct),
    Arm("proxy", "bare grpc.aio pass-through, no logic", _proxy),
    Arm("nginx", "nginx, grpc_pass", _nginx, _nginx_missing),
    Arm("ray", "Ray Serve, gRPC ingress", _ray, _peer("gateway-ray"), "gateway-ray", ("ray", "grpcio")),
    Arm(
        "litserve",
        "LitServe, async, JSON",
        _litserve,
        _peer("gateway-litserve"),
        "gateway-litserve",
        ("litserve",),
    ),
    Arm("ours", "Ostiary's gateway, everything on", _ours),
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
