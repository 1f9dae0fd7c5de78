"""How quick the sandbox's API is: 10,000 objects listed, and writes per second, over HTTPS.

`python -m bench.cluster [--objects 10000] [--writes 3000] [--clients 8]`. Client and server are processes of
their own on the same machine. Every answer is checked: all objects are in the list, every write was taken.
"""

import argparse
import asyncio
import json
import multiprocessing
import ssl
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import aiohttp

from bench.report import Bar, Report, installed, show
from bench.report import write as keep
from ostiary_operator.sandbox.cluster import Cluster, Settings

NAME = "cluster"
MOST_LIST_SECONDS = 1.0
LEAST_WRITES = 500.0
_MAPS = "/api/v1/namespaces/default/configmaps"


async def _serve(folder: Path) -> None:
    async with Cluster(Settings(folder)) as cluster:
        (folder / "ready.json").write_text(json.dumps([cluster.url, cluster.admin_token]), encoding="utf-8")
        await asyncio.Event().wait()


def serve(folder: Path) -> None:
    """Serves until the process is ended."""
    asyncio.run(_serve(folder))


def config_map(number: int) -> dict[str, Any]:
    """One of many objects."""
    data = {"size": str(number), "text": "x" * 200}
    metadata = {"name": f"map-{number:06}", "labels": {"part": str(number % 10)}}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


async def writes(session: aiohttp.ClientSession, first: int, count: int, clients: int) -> float:
    """Creates objects from several clients at once; how many a second."""
    numbers = iter(range(first, first + count))

    async def work() -> None:
        for number in numbers:
            async with session.post(_MAPS, json=config_map(number)) as answer:
                assert answer.status == 201, await answer.text()

    began = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(clients)))
    return count / (time.perf_counter() - began)


async def updates(session: aiohttp.ClientSession, count: int, clients: int) -> float:
    """Changes objects by merge patches; how many a second."""
    numbers = iter(range(count))
    headers = {"Content-Type": "application/merge-patch+json"}

    async def work() -> None:
        for number in numbers:
            body = json.dumps({"data": {"size": f"again {number}"}})
            async with session.patch(f"{_MAPS}/map-{number:06}", data=body, headers=headers) as answer:
                assert answer.status == 200, await answer.text()

    began = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(clients)))
    return count / (time.perf_counter() - began)


async def lists(session: aiohttp.ClientSession, count: int, table: bool) -> float:
    """Lists everything; seconds until the last byte, the median of five."""
    accept = "application/json;as=Table;v=v1;g=meta.k8s.io" if table else "application/json"
    seconds = []
    for _ in range(5):
        began = time.perf_counter()
        async with session.get(_MAPS, headers={"Accept": accept}) as answer:
            data = await answer.read()
        seconds.append(time.perf_counter() - began)
        found = json.loads(data)
        assert len(found["rows" if table else "items"]) == count
    return median(seconds)


async def measure(
    url: str, token: str, authority: Path, objects: int, count: int, clients: int
) -> dict[str, float]:
    """All figures."""
    context = ssl.create_default_context(cafile=str(authority))
    headers = {"Authorization": f"Bearer {token}"}
    connector = aiohttp.TCPConnector(ssl=context, limit=clients)
    async with aiohttp.ClientSession(url, headers=headers, connector=connector) as session:
        made = await writes(session, 0, objects, clients)
        plain = await lists(session, objects, table=False)
        table = await lists(session, objects, table=True)
        changed = await updates(session, min(count, objects), clients)
    return {"creates_per_s": made, "updates_per_s": changed, "list_s": plain, "table_s": table}


def report(figures: dict[str, float], objects: int, clients: int) -> Report:
    """The figures beside their bars."""
    slowest = min(figures["creates_per_s"], figures["updates_per_s"])
    return Report(
        name=NAME,
        rows=[figures | {"objects": objects}],
        bars=[
            Bar("list all objects, seconds", figures["list_s"], MOST_LIST_SECONDS, "at most"),
            Bar("writes per second", slowest, LEAST_WRITES, "at least"),
        ],
        settings={"objects": objects, "clients": clients},
        versions=installed(["aiohttp"]),
    )


def run(objects: int, count: int, clients: int) -> Report:
    """Starts a server, measures it, ends it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        server = multiprocessing.get_context("spawn").Process(target=serve, args=(folder,))
        server.start()
        try:
            deadline = time.monotonic() + 60
            while not (ready := folder / "ready.json").exists() or not ready.read_text(encoding="utf-8"):
                if time.monotonic() > deadline or not server.is_alive():
                    raise RuntimeError("the sandbox did not start")
                time.sleep(0.1)
            url, token = json.loads(ready.read_text(encoding="utf-8"))
            authority = folder / "pki" / "ca.pem"
            figures = asyncio.run(measure(url, token, authority, objects, count, clients))
        finally:
            server.terminate()
            server.join()
    return report(figures, objects, clients)


def main() -> int:
    """Measures, prints, and keeps the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--objects", type=int, default=10_000)
    parser.add_argument("--writes", type=int, default=3_000)
    parser.add_argument("--clients", type=int, default=8)
    options = parser.parse_args()
    found = run(options.objects, options.writes, options.clients)
    show(found)
    print(f"written to {keep(found)}")
    return 0 if all(bar.met for bar in found.bars) else 1


if __name__ == "__main__":
    sys.exit(main())
