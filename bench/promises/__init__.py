"""The promises that are built, in order of their numbers."""

from bench.promises import nobody, protected, tampering

BUILT = (nobody.PROMISE, protected.PROMISE, tampering.PROMISE)
