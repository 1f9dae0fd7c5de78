"""Tries a call until it succeeds, fails for good, or its time is over."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

import grpc

from ostiary.client.retry import RetryPolicy
from ostiary.wire.errors import from_rpc_error

Answer = TypeVar("Answer")


async def attempts(
    retry: RetryPolicy, seconds: float, attempt: Callable[[float], Awaitable[Answer]]
) -> Answer:
    """What `attempt` gives, which is told how many of the `seconds` are left.

    Raises:
        OstiaryError: what the last attempt failed with.
    """
    clock = asyncio.get_running_loop().time
    deadline, failures = clock() + seconds, 0
    while True:
        try:
            return await attempt(deadline - clock())
        except grpc.RpcError as error:
            failure = from_rpc_error(error)
        failures += 1
        pause = retry.pause(failures, failure, random.random())  # noqa: S311 - jitter is no secret
        if pause is None or clock() + pause >= deadline:
            raise failure
        await asyncio.sleep(pause)
