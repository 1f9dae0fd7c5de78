"""Where the gateway is and who the caller is: `profile.yaml`."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from ostiary.wire.errors import FieldViolation, OstiaryError, Reason

FILE_NAME = "profile.yaml"
_REQUIRED = ("endpoint", "ca", "cert", "key")
_KNOWN = {*_REQUIRED, "server_name"}


@dataclass(frozen=True)
class Profile:
    """What a client needs to call a gateway.

    `endpoint` is `host:port`; `ca`, `cert` and `key` are PEM files; `server_name` is the DNS name that the
    gateway's certificate must carry where it is not the endpoint's host.
    """

    endpoint: str
    ca: Path
    cert: Path
    key: Path
    server_name: str | None = None

    @classmethod
    def load(cls, path: str | Path) -> "Profile":
        """Reads a profile file, or the `profile.yaml` of a folder; paths in it are relative to the file.

        Raises:
            OstiaryError: no such file, or not a profile; the message names the file and the field.
        """
        file = Path(path)
        file = file / FILE_NAME if file.is_dir() else file
        fields = _read(file)
        for name in fields.keys() - _KNOWN:
            raise _wrong(file, str(name), f"unknown field; a profile has {', '.join(sorted(_KNOWN))}")
        for name in _REQUIRED:
            if name not in fields:
                raise _wrong(file, name, "is missing")
        for name, value in fields.items():
            if not isinstance(value, str) and not (name == "server_name" and value is None):
                raise _wrong(file, str(name), "must be text")
        folder = file.parent
        return cls(
            endpoint=fields["endpoint"],
            ca=folder / fields["ca"],
            cert=folder / fields["cert"],
            key=folder / fields["key"],
            server_name=fields.get("server_name"),
        )


def _read(file: Path) -> Mapping[str, str]:
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        message = (
            f"cannot read the profile {file}: {error.strerror}; `ostiary up` writes one per role, such as "
            f".ostiary/pipeline"
        )
        raise OstiaryError(Reason.INVALID_FIELD, message) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise OstiaryError(Reason.INVALID_FIELD, f"the profile {file} is not YAML: {error}") from error
    if not isinstance(content, dict):
        raise OstiaryError(Reason.INVALID_FIELD, f"the profile {file} must hold {', '.join(_REQUIRED)}")
    return content


def _wrong(file: Path, field: str, what: str) -> OstiaryError:
    violation = FieldViolation(field=field, description=what)
    return OstiaryError(Reason.INVALID_FIELD, f"{file}: {field}: {what}", violations=[violation])
