"""The promises that are built, in order of their numbers."""

from bench.promises import closed, denial, nobody, protected, rotation, stopped, tampering, traced

BUILT = (
    nobody.PROMISE,
    protected.PROMISE,
    closed.PROMISE,
    rotation.PROMISE,
    denial.PROMISE,
    tampering.PROMISE,
    traced.PROMISE,
    stopped.PROMISE,
)
