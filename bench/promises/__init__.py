"""The promises that are built, in order of their numbers."""

from bench.promises import (
    back,
    bounded,
    closed,
    denial,
    erased,
    idempotent,
    lost,
    nobody,
    overload,
    protected,
    rolled,
    rotation,
    stopped,
    tampering,
    traced,
    viewed,
)

BUILT = (
    nobody.PROMISE,
    protected.PROMISE,
    closed.PROMISE,
    rotation.PROMISE,
    lost.PROMISE,
    rolled.PROMISE,
    overload.PROMISE,
    bounded.PROMISE,
    denial.PROMISE,
    tampering.PROMISE,
    erased.PROMISE,
    viewed.PROMISE,
    idempotent.PROMISE,
    traced.PROMISE,
    back.PROMISE,
    stopped.PROMISE,
)
