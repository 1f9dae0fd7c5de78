"""Which sub-commands there are, and how each is loaded when it is asked for and not before."""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points

import typer
from typer.core import TyperCommand

GROUP = "ostiary.commands"
SERVICES = "Services"


@dataclass(frozen=True)
class Listed:
    """A sub-command as `--help` shows it. `extra` is what `pip install 'ostiary[extra]'` must name for it."""

    name: str
    target: str
    summary: str
    panel: str
    extra: str = ""

    def load(self) -> TyperCommand:
        """Imports the command.

        Raises:
            ImportError: a package that it needs is not installed.
        """
        app = EntryPoint(self.name, self.target, GROUP).load()
        command = typer.main.get_command(app)
        command.name = self.name
        return command  # type: ignore[return-value]  # a TyperGroup or a TyperCommand, whose base is private


OWN = (
    Listed("check", "ostiary.cli.check:app", "Check images through a gateway.", "Checks"),
    Listed("audit", "ostiary.cli.audit:app", "Find, show, prove and export what is on record.", "Checks"),
    Listed("demo", "ostiary.cli.demo:app", "See it all at work on this machine.", "On this machine"),
    Listed("up", "ostiary.cli.up:up_app", "Start a gateway and pods on this machine.", "On this machine"),
    Listed("down", "ostiary.cli.up:down_app", "Stop what `up` has started.", "On this machine"),
    Listed("pki", "ostiary.cli.pki:app", "Issue, renew and deny certificates.", SERVICES),
)

# Entry points carry no summary, and loading them for one would make `--help` slow.
_KNOWN_SERVICES = {
    "gateway": ("Run the gateway.", "gateway"),
    "rbac": ("Check, explain and try who may call what.", "gateway"),
    "policy": ("Check, explain and try moderation policies.", "gateway"),
    "rules": ("Check, try and list rule packs.", "gateway"),
    "lists": ("Keep lists of known images.", "gateway"),
    "brands": ("Keep brand registries.", "gateway"),
    "review": ("Review flagged items.", "gateway"),
    "pod": ("Run a moderation pod.", "moderation"),
    "operator": ("Explain and replay the autoscaler's decisions.", "operator"),
    "sandbox": ("Run a Kubernetes API on this machine, to try rollouts in.", "operator"),
    "model": ("Inspect, train and evaluate model bundles.", "moderation"),
}


def all_commands() -> Iterator[Listed]:
    """The client's own commands, then those that installed distributions add."""
    yield from OWN
    for point in sorted(entry_points(group=GROUP)):
        summary, extra = _KNOWN_SERVICES.get(point.name, (f"From {point.module}.", ""))
        yield Listed(point.name, point.value, summary, SERVICES, extra)
