"""`ostiary operator`: runs the keeper, and tells what its decisions were and what others would have been."""

from ostiary_operator.cli import running
from ostiary_operator.cli.autoscaling import app

running.add(app)

__all__ = ["app"]
