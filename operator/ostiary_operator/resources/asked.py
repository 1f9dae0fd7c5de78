"""What somebody asks of a rollout: an annotation of the ModelDeployment, which no file of Git's has."""

from __future__ import annotations

import json
from collections.abc import Mapping

from ostiary_operator.rollout.snapshot import Request, Verb

REQUEST = "ostiary.dev/request"
_VERBS: tuple[Verb, ...] = ("promote", "promote-full", "abort", "retry")


def annotation(request: Request) -> str:
    """A request as it is written."""
    about = {"version": request.version, "stage": request.stage, "of": request.of}
    named = {name: value for name, value in about.items() if value}
    return json.dumps({"verb": request.verb, "id": request.id, "force": request.force, **named})


def asked(annotations: Mapping[str, str]) -> Request | None:
    """The request among an object's annotations; None without one.

    Raises:
        ValueError: it makes no sense; the message says why.
    """
    text = annotations.get(REQUEST)
    if text is None:
        return None
    try:
        said = json.loads(text)
        verb, name, force = said["verb"], said["id"], said.get("force", False)
        version, stage, of = (str(said.get(about) or "") for about in ("version", "stage", "of"))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"{REQUEST}: JSON with verb and id is expected: {error}") from error
    known = next((one for one in _VERBS if one == verb), None)
    if known is None:
        raise ValueError(f"{REQUEST}: verb: {verb!r} is none of {', '.join(_VERBS)}")
    return Request(known, str(name), bool(force), version or None, stage or None, of)
