"""The keeper: rolls model versions and scales pods."""
