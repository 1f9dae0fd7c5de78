"""Commands of the pod and of model bundles."""
