"""Trains the networks that find figurative marks, from icons laid over photographs. Not needed to serve."""
