"""The gateway's side of InferenceService: which pod looks, and what happens where one does not."""

from ostiary_gateway.pods.client import PodClient, Pods

__all__ = ["PodClient", "Pods"]
