"""A stack's life: up, up again, a crash, down, and up once more."""

import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from e2e.local_stack import LocalStack
from ostiary.cli.stack.health import serving


def addresses(stack: LocalStack) -> dict[str, str]:
    """Every address of the stack's settings files."""
    found = {}
    for path in sorted(stack.root.rglob("*.yaml")):
        values = yaml.safe_load(path.read_text())
        for key in {"listen", "health", "endpoint"} & values.keys():
            found[f"{path.relative_to(stack.root)}:{key}"] = values[key]
    return found


def test_up_again(stack: LocalStack) -> None:
    """A stack that runs is left alone, and that is said."""
    before = (stack.root / "run/gateway.pid").read_text()
    done = stack.up()
    assert done.code == 0
    assert "already running" in done.out
    assert (stack.root / "run/gateway.pid").read_text() == before


@pytest.mark.timeout(300)  # a pod starts
def test_crash_of_the_pod(stack: LocalStack) -> None:
    """Without its pod the gateway answers HOLD; `up` brings the pod back, and edits of the policy stay."""
    policy = stack.root / "gateway/policy.yaml"
    edited = policy.read_text() + "# edited\n"
    policy.write_text(edited)
    stack.kill("pod-0")
    # Not done before: for a moment the gateway would still take over what the pod saw.
    unseen = ("--want", "flags", "--title", "A cup after the crash")
    code, lines = stack.check(*unseen, stack.image("coffee.jpg"))
    assert code == 4
    assert [reason["code"] for reason in lines[0]["response"]["holdReasons"]] == ["unavailable"]
    done = stack.up()
    assert done.code == 0, done.err
    assert policy.read_text() == edited
    # The gateway's connection to a pod that was away comes back within seconds, not at once.
    while (code := stack.check("--want", "flags", stack.image("coffee.jpg"))[0]) == 4:
        pass
    assert code in (0, 3)


@pytest.mark.timeout(300)  # two stacks start
def test_down_and_up_in_the_foreground(stack: LocalStack) -> None:
    """Addresses and record outlive a stop; Ctrl-C stops a stack in the foreground, and all of it."""
    _, before = stack.check("--want", "flags", stack.image("coffee.jpg"))
    where = addresses(stack)
    assert stack.down().code == 0
    assert stack.check("--want", "flags", stack.image("coffee.jpg"))[1][0]["error"]["reason"] == "UNAVAILABLE"
    command = [sys.executable, "-m", "ostiary.cli", "up", "--dir", str(stack.root)]
    foreground = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert foreground.stdout is not None
    while "Ctrl-C stops it" not in (line := foreground.stdout.readline()):
        assert line, "ended before it served"
    _, after = stack.check("--want", "flags", stack.image("coffee.jpg"))
    foreground.send_signal(signal.SIGINT)
    foreground.stdout.close()
    assert foreground.wait(60) == 0
    assert not any(serving(address) for key, address in where.items() if key.endswith(":health"))
    assert addresses(stack) == where
    index = [int(lines[0]["response"]["receipt"]["logIndex"]) for lines in (before, after)]
    assert index[1] == index[0] + 1


def test_second_stack_on_the_same_port(tmp_path: Path) -> None:
    """A port that is taken is an error that names it, and nothing is left running."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = LocalStack(tmp_path).run("up", "--dir", tmp_path / "other", "--detach", "--port", port)
    assert done.code == 1
    assert "gateway ended while starting" in done.err
    assert port in done.err
    assert not list((tmp_path / "other/run").glob("*.pid"))


def test_no_stack(tmp_path: Path) -> None:
    """A folder without a stack is an error that says what to do."""
    done = LocalStack(tmp_path).run("down", "--dir", tmp_path / "nowhere")
    assert done.code == 1
    assert "ostiary up" in done.err
