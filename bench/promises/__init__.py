"""The promises that are built, in order of their numbers."""

from bench.promises import bounded, denial, nobody, overload, protected, tampering

BUILT = (
    nobody.PROMISE,
    protected.PROMISE,
    overload.PROMISE,
    bounded.PROMISE,
    denial.PROMISE,
    tampering.PROMISE,
)
