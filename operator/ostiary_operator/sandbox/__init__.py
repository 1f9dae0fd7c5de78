"""A cluster on a laptop: a Kubernetes API server and small controllers, for tests and for trying out."""
