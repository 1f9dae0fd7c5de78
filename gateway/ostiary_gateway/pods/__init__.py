"""The gateway's side of InferenceService: which pod looks, and what happens where one does not."""

from ostiary_gateway.pods.ask import Ask
from ostiary_gateway.pods.client import GalleryPods, PodClient, Pods
from ostiary_gateway.pods.prepared import PreparedPods

__all__ = ["Ask", "GalleryPods", "PodClient", "Pods", "PreparedPods"]
