"""Metrics and probes over HTTP."""

import asyncio
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import CollectorRegistry

from ostiary.wire.admin import AdminServer
from ostiary.wire.telemetry.rpc import duration_histogram


def get(admin: AdminServer, path: str, accept: str = "") -> tuple[int, str, str]:
    """Status, type and body."""
    request = urllib.request.Request(f"http://{admin.address}{path}", headers={"Accept": accept})
    try:
        with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310 - http is meant
            return response.status, response.headers["Content-Type"], response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["Content-Type"], error.read().decode()


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """A loop that turns on a thread of its own, as a service's does beside the admin port."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture
def admin(loop: asyncio.AbstractEventLoop) -> Iterator[AdminServer]:
    """A server with one histogram, whose loop may take a fifth of a second to answer."""
    registry = CollectorRegistry()
    provider = MeterProvider([PrometheusMetricReader(registry=registry)])
    duration_histogram(provider.get_meter("test"), "server").record(0.02, {"rpc.method": "s/M"})
    server = AdminServer("127.0.0.1:0", registry, loop, loop_seconds=0.2)
    server.start()
    yield server
    server.stop()
    provider.shutdown()


def test_prometheus_finds_metrics_by_its_own_names(admin: AdminServer) -> None:
    """Dots become underscores, the unit and the kind are part of the name, buckets go from 1 ms to 30 s."""
    status, kind, text = get(admin, "/metrics")
    assert (status, kind.split(";")[0]) == (200, "text/plain")
    lines = [line for line in text.splitlines() if line.startswith("rpc_server_call_duration_seconds_bucket")]
    assert all('rpc_method="s/M"' in line for line in lines)
    counts = {line.split('le="')[1].split('"')[0]: line.split()[-1] for line in lines}
    assert (counts["0.01"], counts["0.025"], counts["30.0"]) == ("0.0", "1.0", "1.0")
    assert "0.001" in counts


def test_openmetrics_is_spoken_to_those_who_ask(admin: AdminServer) -> None:
    """Exemplars travel in that format alone."""
    _, kind, text = get(admin, "/metrics", "application/openmetrics-text; version=1.0.0")
    assert kind.startswith("application/openmetrics-text")
    assert text.endswith("# EOF\n")


def test_it_is_ready_when_the_service_is(admin: AdminServer) -> None:
    """Not before anybody has said so, and not any more when it drains."""
    assert get(admin, "/readyz")[::2] == (503, "not serving\n")
    admin.follow(lambda: True)
    assert get(admin, "/readyz")[::2] == (200, "ready\n")
    admin.follow(lambda: False)
    assert get(admin, "/readyz")[0] == 503


def test_what_else_hangs_is_not_live(admin: AdminServer) -> None:
    """In the words of whoever found out; and who is ready may say more than that."""
    hangs = ["the watch of pods has told nothing"]
    admin.follow(lambda: True, lambda: "ready: leading", lambda: "".join(hangs))
    assert get(admin, "/livez")[::2] == (503, "the watch of pods has told nothing\n")
    assert get(admin, "/readyz")[::2] == (200, "ready: leading\n")
    hangs.clear()
    assert get(admin, "/livez")[::2] == (200, "live\n")


def test_a_stuck_loop_is_not_live(admin: AdminServer, loop: asyncio.AbstractEventLoop) -> None:
    """Probes are answered beside the loop, so that it can be told that it hangs."""
    assert get(admin, "/livez")[::2] == (200, "live\n")
    free = threading.Event()
    loop.call_soon_threadsafe(free.wait)
    assert get(admin, "/livez")[0] == 503
    free.set()
    assert get(admin, "/livez")[0] == 200


def test_there_is_nothing_else(admin: AdminServer) -> None:
    """Whoever guesses is told what there is."""
    status, _, words = get(admin, "/config")
    assert (status, words) == (404, "there are /metrics, /livez and /readyz\n")


def test_an_address_in_use_is_named(admin: AdminServer, loop: asyncio.AbstractEventLoop) -> None:
    """As every other address that cannot be bound."""
    with pytest.raises(ValueError, match=f"admin address {admin.address} cannot be bound"):
        AdminServer(admin.address, None, loop)


def test_without_an_address_there_is_no_port(loop: asyncio.AbstractEventLoop) -> None:
    """It can be left out, and started and stopped all the same."""
    server = AdminServer(None, None, loop)
    server.start()
    server.stop()
    assert server.address is None
