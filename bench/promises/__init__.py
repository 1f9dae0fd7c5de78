"""The promises that are built, in order of their numbers."""

from bench.promises import protected, tampering

BUILT = (protected.PROMISE, tampering.PROMISE)
