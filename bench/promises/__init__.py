"""The promises that are built, in order of their numbers."""

from bench.promises import (
    bounded,
    denial,
    idempotent,
    nobody,
    overload,
    protected,
    stopped,
    tampering,
)

BUILT = (
    nobody.PROMISE,
    protected.PROMISE,
    overload.PROMISE,
    bounded.PROMISE,
    denial.PROMISE,
    tampering.PROMISE,
    idempotent.PROMISE,
    stopped.PROMISE,
)
