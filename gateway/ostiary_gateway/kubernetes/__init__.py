"""What the gateway takes from Kubernetes in place of files: routes, policies, brand registries, and pods.

Nothing here is imported by a gateway that has its files.
"""
