"""Kubernetes' KMS plug-in API, version 2: generated messages and stubs of the package v2."""
