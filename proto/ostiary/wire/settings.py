"""Settings: a YAML file checked against a pydantic model, with overrides from the environment."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from ostiary.wire.credentials import CredentialFiles

M = TypeVar("M", bound=BaseModel)

# Kubernetes tells every container of the Services around it: one called `ostiary-gateway` would otherwise set
# OSTIARY_GATEWAY_PORT and its kin.
_SERVICE_LINK = re.compile(
    r"(?:.*_)?(?:SERVICE_HOST|SERVICE_PORT(?:_.*)?|PORT=(?:tcp|udp|sctp)://.*"
    r"|PORT_\d+_(?:TCP|UDP|SCTP)(?:_(?:ADDR|PORT|PROTO))?)"
)


class TlsSettings(BaseModel):
    """The `tls` section of a service's settings: its own certificate, and whom it trusts."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    ca: Path
    """Certificates of the authorities, PEM."""
    cert: Path
    """Certificate chain, PEM; a server's carries the DNS name that its clients look for."""
    key: Path
    """Private key, PEM."""
    deny_list: Path | None = None
    """Serial numbers that are refused, one a line."""
    trust_domain: str = ""
    """The one SPIFFE trust domain. Empty: the certificate's own."""

    def files(self) -> CredentialFiles:
        """The same, as credentials are loaded from."""
        return CredentialFiles(self.ca, self.cert, self.key, self.deny_list, self.trust_domain)


def load_settings(model: type[M], path: Path, env_prefix: str, environ: Mapping[str, str] | None = None) -> M:
    """Loads `path` into `model`.

    `{env_prefix}A__B=value` overrides key `b` of section `a`; a value that begins with `[` or `{` is read as
    YAML, `null` as nothing, all else as text; variables that Kubernetes sets for Services are left alone.
    Relative paths of the file are relative to its folder, those of the environment to the working folder.
    Raises ValueError that names the file and every wrong or unknown key.
    """
    values = _read(path)
    overrides = _overrides(os.environ if environ is None else environ, env_prefix)
    try:
        settings = model.model_validate(_merge(values, overrides), extra="forbid")
    except ValidationError as error:
        raise ValueError(f"{path}: " + "; ".join(_describe(problem) for problem in error.errors())) from error
    anchored: M = _anchor(settings, overrides, path.parent)
    return anchored


def _read(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror or error}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ValueError(f"{path} must hold keys and values, not a {type(values).__name__}")
    return values


def _overrides(environ: Mapping[str, str], prefix: str) -> dict[str, Any]:
    overrides: dict[str, Any] = {}
    for name in sorted(environ):
        if name.startswith(prefix) and not _is_service_link(name, environ[name]):
            *sections, key = name.removeprefix(prefix).lower().split("__")
            target = overrides
            for section in sections:
                target = target.setdefault(section, {})
            target[key] = _value(name, environ[name])
    return overrides


def _is_service_link(name: str, value: str) -> bool:
    return any(_SERVICE_LINK.fullmatch(text) for text in (name, f"{name}={value}"))


def _value(name: str, text: str) -> Any:
    if text == "null":
        return None
    if not text.startswith(("[", "{")):
        return text
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"{name} is not YAML: {' '.join(str(error).split())}") from error


def _merge(values: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(values)
    for key, override in overrides.items():
        below = merged.get(key)
        both = isinstance(override, dict) and isinstance(below, dict)
        merged[key] = _merge(below, override) if both else override  # type: ignore[arg-type]
    return merged


def _describe(problem: Any) -> str:
    where = ".".join(str(part) for part in problem["loc"]) or "the file"
    if problem["type"] == "extra_forbidden":
        return f"{where}: there is no such key"
    return f"{where}: {problem['msg'][0].lower()}{problem['msg'][1:]}"


def _anchor(value: Any, overrides: Any, folder: Path) -> Any:
    """The value with relative paths put under `folder`, apart from those that came from overrides."""
    if isinstance(value, Path):
        return value if overrides is not None else folder / value
    if isinstance(value, BaseModel):
        given = overrides if isinstance(overrides, dict) else {}
        update = {
            name: _anchor(getattr(value, name), given.get(name), folder) for name in type(value).model_fields
        }
        return value.model_copy(update=update)
    if isinstance(value, list | tuple):
        return type(value)(_anchor(item, overrides, folder) for item in value)
    if isinstance(value, dict):
        return {key: _anchor(item, overrides, folder) for key, item in value.items()}
    return value
