"""The detectors that ship with the pod, and what runs detectors beside the model."""
