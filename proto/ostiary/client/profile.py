"""Where the gateway is and who the caller is: `profile.yaml`."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from ostiary.wire.errors import OstiaryError, Reason
from ostiary.wire.settings import load_settings

FILE_NAME = "profile.yaml"


class Profile(BaseModel):
    """What a client needs to call a gateway."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    endpoint: str
    """`host:port` of the gateway."""
    ca: Path
    """Authorities whose gateways are trusted, PEM."""
    cert: Path
    """The caller's certificate, PEM."""
    key: Path
    """The caller's private key, PEM."""
    server_name: str | None = None
    """DNS name that the gateway's certificate must carry; None: the endpoint's host."""

    @classmethod
    def load(cls, path: str | Path) -> "Profile":
        """Reads a profile file, or the `profile.yaml` of a folder; paths in it are relative to the file.

        Raises:
            OstiaryError: INVALID_FIELD, with the file and what is wrong with it.
        """
        file = Path(path)
        file = file / FILE_NAME if file.is_dir() else file
        try:
            return load_settings(cls, file, env_prefix="OSTIARY_PROFILE_", environ={})
        except ValueError as error:
            words = f"{error} (`ostiary up` writes a profile per role, such as .ostiary/pipeline)"
            raise OstiaryError(Reason.INVALID_FIELD, words) from error
