"""Writes what a new gateway needs and only a person may change later: roles, policy, keys."""

from importlib.resources import files
from pathlib import Path

from ostiary.tlog.keys import create_log_key
from ostiary_gateway.store.sealing import create_evidence_key

_SHIPPED_DOMAIN = "ostiary.local"


def init_gateway(folder: Path, *, trust_domain: str, origin: str, kms: bool = False) -> list[Path]:
    """Write roles.yaml, policy.yaml, log.key with log.vkey, and evidence.key into `folder`; never overwrite.

    The folders `lists` of hash lists and `brands` of brand registries are made there too, empty.

    Args:
        folder: made where it is missing.
        trust_domain: SPIFFE trust domain that the bindings of roles.yaml name.
        origin: first line of the log's checkpoints.
        kms: a KMS keeps the evidence's keys: evidence.key is not written.

    Returns:
        The files written; those that were there already are not among them.

    Raises:
        OSError: a file cannot be written.
        ValueError: `origin` holds a space, a plus or a control character.
    """
    for name in ("lists", "brands"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    written = []
    roles = _shipped("roles.yaml").replace(f"spiffe://{_SHIPPED_DOMAIN}/", f"spiffe://{trust_domain}/")
    for name, text in (("roles.yaml", roles), ("policy.yaml", _shipped("policy.yaml"))):
        path = folder / name
        if not path.exists():
            path.write_text(text, encoding="utf-8")
            written.append(path)
    log_key = folder / "log.key"
    if not log_key.exists():
        create_log_key(log_key, origin)
        written += [log_key, log_key.with_suffix(".vkey")]
    evidence_key = folder / "evidence.key"
    if not kms and not evidence_key.exists():
        create_evidence_key(evidence_key)
        written.append(evidence_key)
    return written


def _shipped(name: str) -> str:
    return (files("ostiary_gateway") / "defaults" / name).read_text(encoding="utf-8")
