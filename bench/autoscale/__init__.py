"""Autoscalers side by side, on simulated pods: `python -m bench.autoscale`."""
