"""Ostiary: what both ends of a wire agree on, and all that a caller needs."""
