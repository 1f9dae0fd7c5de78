"""Folders of the run: everybody's certificates, and what our gateway needs."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import yaml

from ostiary.pki import Authority, create_ca
from ostiary.wire.identity import SpiffeId
from ostiary_gateway.init import init_gateway

DOMAIN = "bench.ostiary.local"
ORIGIN = f"{DOMAIN}/log"
_PEOPLE = {"server": "/role/gateway", "pod": "/role/pod", "pipeline": "/tenant/bench/role/pipeline"}
_COMMAND = "from ostiary.cli.main import main; main()"


@dataclass(frozen=True)
class Site:
    """A folder with one authority's certificates: `server` stands between `pipeline` and `pod`."""

    folder: Path

    @classmethod
    def make(cls, folder: Path) -> Site:
        """The site in a folder; certificates that are there already are kept."""
        if not (folder / "pki").exists():
            authority: Authority = create_ca(folder / "pki", DOMAIN)
            for name, path in _PEOPLE.items():
                authority.issue(
                    out=folder / name,
                    id=SpiffeId(DOMAIN, path),
                    dns=("localhost",),
                    ips=(ip_address("127.0.0.1"),),
                    lifetime=timedelta(hours=24),
                )
        return cls(folder)

    def credentials(self, name: str) -> Path:
        """Somebody's folder of certificates."""
        return self.folder / name

    def gateway(self, name: str, port: int, pods: Sequence[str], **more: Any) -> list[str]:
        """Write a gateway's folder, and return the command that serves from it.

        `more` goes into its settings; the rest is as `ostiary gateway init` makes it.
        """
        folder = self.folder / name
        init_gateway(folder, trust_domain=DOMAIN, origin=ORIGIN)
        endpoints = [{"address": pod, "serverName": "localhost"} for pod in pods]
        version = {"name": "v1", "weight": 10_000, "endpoints": endpoints}
        _write(folder / "route.yaml", {"name": "main", "versions": [version]})
        own = self.credentials("server")
        settings = {
            "listen": f"127.0.0.1:{port}",
            "health": None,
            "tls": {part: str(own / f"{part}.pem") for part in ("ca", "cert", "key")}
            | {"trust_domain": DOMAIN},
            "roles": "roles.yaml",
            "route": "route.yaml",
            "policy": "policy.yaml",
            "store": "data/ostiary.db",
            "log": {"origin": ORIGIN, "key": "log.key", "dir": "log"},
            "evidence": {"dir": "evidence", "key": "evidence.key"},
            "drain_seconds": 1,
            **more,
        }
        _write(folder / "gateway.yaml", settings)
        return [sys.executable, "-c", _COMMAND, "gateway", "serve", "--config", str(folder / "gateway.yaml")]

    def stub(self, port: int, *, milliseconds: float, slots: int = 100_000) -> list[str]:
        """The command of a stub pod."""
        command = [sys.executable, "-m", "bench.gateway.stub", "--port", str(port)]
        place = ["--credentials", str(self.credentials("pod"))]
        return [*command, *place, "--milliseconds", str(milliseconds), "--slots", str(slots)]


def _write(path: Path, values: Mapping[str, Any]) -> None:
    path.write_text(yaml.safe_dump(dict(values)), encoding="utf-8")
