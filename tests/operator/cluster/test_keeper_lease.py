"""A keeper that died without a word, and one that runs as a process."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from pathlib import Path

from bench.keeper.stage import TEMPLATE, Stage, stage
from ostiary_operator.cluster import kinds


async def test_a_dead_keepers_lease_is_waited_for(tmp_path: Path) -> None:
    """Its time is counted from when it was seen, whatever its clock said."""
    async with stage(tmp_path) as cluster:
        spec = {
            "holderIdentity": "dead",
            "leaseDurationSeconds": 1,
            "renewTime": "2090-01-01T00:00:00.000000Z",
        }
        await cluster.put(kinds.LEASES, {"metadata": {"name": "ostiary-keeper"}, "spec": spec})
        began = time.monotonic()
        async with cluster.keeper(identity="heir"):
            await cluster.until(lambda: holder(cluster) == "heir")
            assert time.monotonic() - began > 1.0


def holder(cluster: Stage) -> str:
    """Who acts."""
    lease = cluster.find(kinds.LEASES, "ostiary-keeper")
    assert lease is not None
    return str(lease["spec"]["holderIdentity"])


async def started(kubeconfig: Path) -> asyncio.subprocess.Process:
    """`ostiary operator run`."""
    code = "from ostiary_operator.cli import app; app()"
    arguments = ["--pod-template", str(TEMPLATE), "--kubeconfig", str(kubeconfig), "--namespace", "default"]
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, "run", *arguments, stderr=asyncio.subprocess.PIPE
    )


async def test_the_command_keeps_and_stops_in_order(tmp_path: Path) -> None:
    """A version serves, SIGTERM ends it with 0, and the Lease is free for the next."""
    async with stage(tmp_path) as cluster:
        await cluster.version("v1")
        await cluster.deployment("v1")
        process = await started(tmp_path / "kubeconfig")
        async with cluster.gateway():
            await cluster.until(lambda: cluster.status().get("phase") == "Healthy", 40)
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(20):
            await process.communicate()
        assert process.returncode == 0
        assert holder(cluster) == ""


async def test_a_way_in_that_is_none_is_told_of(tmp_path: Path) -> None:
    """Exit code 2, and what to do."""
    process = await started(tmp_path / "none")
    _, said = await process.communicate()
    assert process.returncode == 2
    assert b"--kubeconfig" in said


async def test_an_absent_api_server_is_waited_for(tmp_path: Path) -> None:
    """A keeper that starts first says what it waits for, and keeps once the API server is there; one that is
    told to stop before that stops at once.
    """
    async with stage(tmp_path, journal=True) as cluster:
        await cluster.version("v1")
        await cluster.deployment("v1")
        await cluster.cluster.stop()
        impatient = await started(tmp_path / "kubeconfig")
        process = await started(tmp_path / "kubeconfig")
        try:
            for each in (impatient, process):
                assert each.stderr is not None
                async with asyncio.timeout(60):
                    assert b"waiting for the API server" in await each.stderr.readline()
            impatient.send_signal(signal.SIGTERM)
            async with asyncio.timeout(20):
                await impatient.communicate()
            assert impatient.returncode == 0
            cluster.cluster._open()
            await cluster.cluster.start()
            async with cluster.gateway():
                await cluster.until(lambda: cluster.status().get("phase") == "Healthy", 60)
            assert not cluster.status()["since"].startswith("1970")
            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(20):
                await process.communicate()
            assert process.returncode == 0
        finally:
            for each in (impatient, process):
                if each.returncode is None:
                    each.kill()
