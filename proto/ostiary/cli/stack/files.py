"""The settings files of a local stack. What is there stays, apart from what the command line asks for."""

import os
import random
import socket
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import yaml

from ostiary.cli.stack.layout import GATEWAY_NAME, POD_NAME, ROLES, TRUST_DOMAIN, Layout

HOST = "127.0.0.1"
PORTS = range(18_000, 30_000)


def free_ports(count: int) -> list[int]:
    """Loopback ports that nobody uses; all held at once, so that they differ.

    They lie below those that systems hand out by themselves: none is taken while the stack is down.
    """
    found: list[int] = []
    with ExitStack() as held:
        for port in random.sample(PORTS, len(PORTS)):
            candidate = held.enter_context(socket.socket())
            with suppress(OSError):
                candidate.bind((HOST, port))
                found.append(port)
            if len(found) == count:
                return found
    raise ValueError(f"there are no {count} free ports from {PORTS[0]} to {PORTS[-1]}")


def read(path: Path) -> dict[str, Any]:
    """A settings file; empty where there is none.

    Raises:
        ValueError: it does not hold keys and values.
    """
    if not path.exists():
        return {}
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is not YAML: {error}") from error
    if not isinstance(values, dict):
        raise ValueError(f"{path} must hold keys and values: mend it, or delete it to have it written anew")
    return values


def write(path: Path, values: Mapping[str, Any]) -> None:
    """Writes the file whole or not at all; leaves it alone where it holds the same already."""
    if path.exists() and read(path) == values:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def write_gateway(layout: Layout, port: int) -> str:
    """Writes gateway.yaml and returns the gateway's address. `port` 0: the one it has, or a free one."""
    chosen, health, admin = free_ports(3)
    values = {
        "listen": f"{HOST}:{chosen}",
        "health": f"{HOST}:{health}",
        "admin": f"{HOST}:{admin}",
        "tls": _tls("../pki/deny.txt"),
        "roles": "roles.yaml",
        "route": "route.yaml",
        "policy": "policy.yaml",
        "lists": "lists",
        "brands": "brands",
        "store": "data/ostiary.db",
        "log": {"origin": f"{TRUST_DOMAIN}/log", "key": "log.key", "dir": "log"},
        "evidence": {"dir": "evidence", "key": "evidence.key"},
        "log_format": "text",
    } | read(layout.gateway_yaml)
    if port:
        values["listen"] = f"{HOST}:{port}"
    write(layout.gateway_yaml, values)
    return str(values["listen"])


def write_pod(layout: Layout, number: int, bundle: str, pods: int) -> str:
    """Writes one pod.yaml and returns the pod's address. Cores are shared out among the pods."""
    chosen, health, admin = free_ports(3)
    path = layout.pod_yaml(number)
    values = {
        "listen": f"{HOST}:{chosen}",
        "health": f"{HOST}:{health}",
        "admin": f"{HOST}:{admin}",
        "tls": _tls("../../pki/deny.txt"),
        "clients": [f"spiffe://{TRUST_DOMAIN}/role/gateway"],
        "decode_workers": 1,
        "threads": max(1, (os.cpu_count() or 1) // pods),
        "log_format": "text",
    } | read(path)
    values["bundle"] = bundle
    write(path, values)
    return str(values["listen"])


def write_route(layout: Layout, addresses: list[str]) -> None:
    """Writes route.yaml: all checks to these pods. Its epoch grows by one where that is a change."""
    path = layout.gateway / "route.yaml"
    endpoints = [{"address": address, "serverName": POD_NAME} for address in addresses]
    versions = [{"name": "local", "weight": 10_000, "endpoints": endpoints}]
    before = read(path)
    if before.get("versions") != versions:
        epoch = int(before.get("epoch", 0)) + 1
        write(path, {"name": "default"} | before | {"versions": versions, "epoch": epoch})


def write_profiles(layout: Layout, endpoint: str) -> None:
    """Writes each role's profile.yaml."""
    for role in ROLES:
        values = {"endpoint": endpoint, "server_name": GATEWAY_NAME}
        values |= {"ca": "ca.pem", "cert": "cert.pem", "key": "key.pem"}
        write(layout.role(role) / "profile.yaml", values)


def _tls(deny_list: str) -> dict[str, str]:
    files = {"ca": "ca.pem", "cert": "cert.pem", "key": "key.pem"}
    return files | {"deny_list": deny_list, "trust_domain": TRUST_DOMAIN}
