"""A small certificate authority for demonstrations, tests and single machines.

For a fleet, use the authority that the fleet already has; this one keeps its key in a file.
"""

from ostiary.pki.authority import Authority, create_ca

__all__ = ["Authority", "create_ca"]
