"""The scripted server, for commands that call a gateway."""

from client.conftest import credentials, profile, script

__all__ = ["credentials", "profile", "script"]
