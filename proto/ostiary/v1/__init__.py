"""The contract: generated messages and stubs of the package ostiary.v1."""
