"""Observations of identical work, taken over instead of looking again. Never a verdict."""

from ostiary_gateway.reuse.reusing import ObservationReuse, Place, Reused

__all__ = ["ObservationReuse", "Place", "Reused"]
