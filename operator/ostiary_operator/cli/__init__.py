"""`ostiary operator`: what the keeper's decisions were, and what others would have been."""

from ostiary_operator.cli.autoscaling import app

__all__ = ["app"]
