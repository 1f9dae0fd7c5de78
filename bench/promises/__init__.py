"""The promises that are built, in order of their numbers."""

from bench.promises import denial, nobody, protected, rotation, tampering, traced

BUILT = (
    nobody.PROMISE,
    protected.PROMISE,
    rotation.PROMISE,
    denial.PROMISE,
    tampering.PROMISE,
    traced.PROMISE,
)
