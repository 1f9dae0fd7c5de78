"""The gateway's side of InferenceService: which pod looks, and what happens where one does not."""

from ostiary_gateway.pods.client import GalleryPods, PodClient, Pods

__all__ = ["GalleryPods", "PodClient", "Pods"]
