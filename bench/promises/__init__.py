"""The promises that are built, in order of their numbers."""

from bench.promises import closed, denial, nobody, protected, rotation, tampering, traced

BUILT = (
    nobody.PROMISE,
    protected.PROMISE,
    closed.PROMISE,
    rotation.PROMISE,
    denial.PROMISE,
    tampering.PROMISE,
    traced.PROMISE,
)
