"""The keeper on a cluster in this process, with simulated pods."""
