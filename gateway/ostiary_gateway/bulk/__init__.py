"""Bulk work: checks that are accepted now and judged when there is room."""
