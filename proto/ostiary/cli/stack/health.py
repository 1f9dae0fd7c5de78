"""Waits until services say that they serve."""

import time
from collections.abc import Callable, Sequence

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from ostiary.cli.stack.process import Process

_POLL_SECONDS = 0.1


class StartError(Exception):
    """A service did not come up; the message says which, and shows the end of its log."""


def serving(address: str) -> bool:
    """Whether the service with this health address says SERVING."""
    with grpc.insecure_channel(address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        try:
            answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=1.0)  # type: ignore[attr-defined]
        except grpc.RpcError:
            return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def wait_until_serving(
    processes: Sequence[Process],
    seconds: float,
    told: Callable[[Process], None],
    asked_to_stop: Callable[[], bool] = lambda: False,
) -> None:
    """Returns once all serve, or early where `asked_to_stop`; calls `told` with each that does.

    Raises:
        StartError: one has ended, or not all serve after `seconds`.
    """
    waiting = list(processes)
    deadline = time.monotonic() + seconds
    while waiting and not asked_to_stop():
        for process in list(waiting):
            if process.pid() is None:
                raise StartError(f"{process.name} ended while starting; {process.end_of_log()}")
            if serving(process.health):
                waiting.remove(process)
                told(process)
        if waiting and time.monotonic() >= deadline:
            names = ", ".join(process.name for process in waiting)
            logs = "\n".join(process.end_of_log() for process in waiting)
            raise StartError(f"{names} did not serve within {seconds:.0f} s; {logs}")
        time.sleep(_POLL_SECONDS)
