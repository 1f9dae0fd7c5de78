"""Boundaries of histograms of durations, in seconds."""

# A denial takes about a millisecond, a check tens of them to tens of seconds.
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
