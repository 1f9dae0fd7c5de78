"""The promises that are built, in order of their numbers."""

from bench.promises import denial, idempotent, nobody, protected, tampering

BUILT = (nobody.PROMISE, protected.PROMISE, denial.PROMISE, tampering.PROMISE, idempotent.PROMISE)
