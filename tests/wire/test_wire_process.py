"""The process runner, in processes of its own: logs, signals and exit codes."""

import json
import signal
import subprocess
import sys
from typing import Any

import pytest

PRELUDE = """
import asyncio, logging, sys
import structlog
from ostiary.wire.process import Stop, run
from ostiary.wire.telemetry import setup
from opentelemetry import trace
log = structlog.get_logger("test")
"""

SERVES = """
async def main(stop):
    log.info("ready", address="127.0.0.1:1")
    await stop.wait()
    log.info("drained")
"""


def start(main: str, log_format: str = "json") -> "subprocess.Popen[str]":
    """A Python process that runs `main` under the runner."""
    code = f"{PRELUDE}{main}\nsys.exit(run('svc', main, log_format={log_format!r}))"
    return subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)


def events(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_first_signal_stops_in_order(number: signal.Signals) -> None:
    """The first signal lets main finish, and the exit code is 0."""
    with start(SERVES) as process:
        assert process.stderr is not None
        ready = json.loads(process.stderr.readline())
        process.send_signal(number)
        _, rest = process.communicate(timeout=30)
    assert (ready["event"], ready["level"], ready["service"]) == ("ready", "info", "svc")
    assert ready["address"] == "127.0.0.1:1"
    assert [event["event"] for event in events(rest)] == ["process.stopping", "drained"]
    assert process.returncode == 0


def test_second_signal_cancels() -> None:
    """A second signal ends a main that does not, with exit code 1."""
    stubborn = SERVES.replace("await stop.wait()", "await asyncio.Event().wait()")
    with start(stubborn) as process:
        assert process.stderr is not None
        process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        assert json.loads(process.stderr.readline())["event"] == "process.stopping"
        process.send_signal(signal.SIGTERM)
        _, rest = process.communicate(timeout=30)
    assert [event["event"] for event in events(rest)] == ["process.cancelled"]
    assert process.returncode == 1


ENDS = {
    "returns": ("pass", 0, []),
    "bad settings": ("raise ValueError('tls.ca: no such file')", 2, ["process.refused"]),
    "crash": ("raise RuntimeError('boom')", 1, ["process.failed"]),
}


@pytest.mark.parametrize(("body", "code", "names"), ENDS.values(), ids=ENDS.keys())
def test_exit_codes(body: str, code: int, names: list[str]) -> None:
    """0 for an orderly end, 2 for what settings cause, 1 for a crash; each is told in one event."""
    with start(f"async def main(stop):\n    {body}\n") as process:
        _, text = process.communicate(timeout=30)
    assert process.returncode == code
    assert [event["event"] for event in events(text)] == names


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_tracebacks_show_no_values(log_format: str) -> None:
    """A crash is logged with its traceback, and with no local variable's value: it may be a listing."""
    crashes = """
async def main(stop):
    secret = "".join(["top", "secret"])
    raise RuntimeError("boom")
"""
    with start(crashes, log_format) as process:
        _, text = process.communicate(timeout=30)
    assert "boom" in text
    assert "topsecret" not in text


def test_logs_carry_the_trace() -> None:
    """Inside a span, own events and the standard library's records carry its trace id; outside, none."""
    traced = """
async def main(stop):
    setup("svc")
    with trace.get_tracer("t").start_as_current_span("s") as span:
        log.info("own", wanted=f"{span.get_span_context().trace_id:032x}")
        logging.getLogger("lib").warning("foreign %s", 1)
    log.info("outside")
"""
    with start(traced) as process:
        _, text = process.communicate(timeout=30)
    own, foreign, outside = events(text)
    assert own["trace_id"] == foreign["trace_id"] == own["wanted"]
    assert (foreign["event"], foreign["logger"]) == ("foreign 1", "lib")
    assert "trace_id" not in outside


def test_text_logs() -> None:
    """As text, an event is one line for people."""
    with start("async def main(stop):\n    log.info('ready', address='a')\n", "text") as process:
        _, text = process.communicate(timeout=30)
    assert "ready" in text
    assert "address=a" in text
    assert len(text.splitlines()) == 1
