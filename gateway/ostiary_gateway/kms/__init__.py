"""Evidence's key-encryption keys by way of a KMS: Kubernetes' KMS plug-in API, version 2."""
