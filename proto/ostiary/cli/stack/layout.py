"""Where everything of a local stack lies below its folder."""

from dataclasses import dataclass
from pathlib import Path

TRUST_DOMAIN = "ostiary.local"
TENANT = "demo"
ROLES = ("pipeline", "auditor", "lead-auditor", "compliance-admin", "sre")
GATEWAY_NAME = f"gateway.{TRUST_DOMAIN}"
POD_NAME = f"pod.{TRUST_DOMAIN}"


@dataclass(frozen=True)
class Layout:
    """The folders and files of a stack; `root` is absolute."""

    root: Path

    @property
    def pki(self) -> Path:
        """The authority."""
        return self.root / "pki"

    @property
    def gateway(self) -> Path:
        """The gateway's settings, certificate, keys, record and evidence."""
        return self.root / "gateway"

    @property
    def gateway_yaml(self) -> Path:
        """The gateway's settings."""
        return self.gateway / "gateway.yaml"

    @property
    def run(self) -> Path:
        """Process ids and logs."""
        return self.root / "run"

    def pod(self, number: int) -> Path:
        """A pod's settings and certificate; pods count from 0."""
        return self.root / "pods" / str(number)

    def pod_yaml(self, number: int) -> Path:
        """A pod's settings."""
        return self.pod(number) / "pod.yaml"

    def role(self, name: str) -> Path:
        """A caller's profile and certificate."""
        return self.root / name
