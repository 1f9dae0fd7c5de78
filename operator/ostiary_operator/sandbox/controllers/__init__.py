"""The controllers that make objects come true: rollouts, placement, pods, garbage."""
