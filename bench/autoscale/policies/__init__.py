"""Ports of the rivals, from their documentation, one file each; and ours, which calls the operator's own
decision.

All lanes are decided at once. Each port is checked in tests/bench against worked examples and golden vectors.
"""
