"""The promises that are built, in order of their numbers."""

from bench.promises import denial, idempotent, nobody, protected, stopped, tampering

BUILT = (
    nobody.PROMISE,
    protected.PROMISE,
    denial.PROMISE,
    tampering.PROMISE,
    idempotent.PROMISE,
    stopped.PROMISE,
)
