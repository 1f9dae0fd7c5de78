"""Counts what was taken up while running, and what was refused."""

from opentelemetry import metrics

SCOPE = "ostiary.wire"


class Reloads:
    """`moderation.config.reloads` for one thing that is read again: a file by its name, or certificates."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._count = metrics.get_meter(SCOPE).create_counter(
            "moderation.config.reloads", description="Changed files, by name and whether they were taken up"
        )

    def applied(self) -> None:
        """A changed version is in force."""
        self._count.add(1, {"file": self._what, "outcome": "applied"})

    def rejected(self) -> None:
        """A changed version was refused: the last good one goes on."""
        self._count.add(1, {"file": self._what, "outcome": "rejected"})
