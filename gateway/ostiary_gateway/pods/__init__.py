"""The gateway's side of InferenceService: which pod looks, and what happens where one does not."""

from ostiary_gateway.pods.client import GalleryPods, PodClient, Pods
from ostiary_gateway.pods.prepared import PreparedPods

__all__ = ["GalleryPods", "PodClient", "Pods", "PreparedPods"]
