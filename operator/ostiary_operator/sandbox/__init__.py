"""A cluster on a laptop: a Kubernetes API server and small controllers, for tests, simulation and trying out."""
