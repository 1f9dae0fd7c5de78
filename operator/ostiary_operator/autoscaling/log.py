"""The decision log: one JSON object a line, with everything that a decision looked at.

`{"version": 1, "name": …, "at": seconds since the epoch, "spec": …, "inputs": …, "decision": …}`. Figures
that are not numbers, which is what a log is read for, stand as `NaN` and `Infinity`, as Python and
JavaScript libraries read them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from ostiary_operator.autoscaling.decision import Decision
from ostiary_operator.autoscaling.inputs import Inputs
from ostiary_operator.autoscaling.spec import AutoscalerSpec

VERSION = 1


class BadLog(ValueError):  # noqa: N818 # it says what the file is
    """A line that is no decision; tells file, line and why."""


@dataclass(frozen=True)
class Entry:
    """One line.

    Attributes:
        name: of the autoscaler.
        at: when it was decided.
        spec: by which spec.
        inputs: what was known.
        decision: the decision's document.
    """

    name: str
    at: float
    spec: AutoscalerSpec
    inputs: Inputs
    decision: Mapping[str, Any]


def line(name: str, at: float, spec: AutoscalerSpec, inputs: Inputs, decision: Decision) -> str:
    """A decision as a line of the log, without its end."""
    document = {
        "version": VERSION,
        "name": name,
        "at": at,
        "spec": spec.model_dump(mode="json", by_alias=True),
        "inputs": inputs.document(),
        "decision": decision.document(),
    }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def read(lines: Iterable[str], source: str) -> Iterator[Entry]:
    """The entries of a log. A last line that was cut off, as a crash leaves it, is left out.

    Raises:
        BadLog: a line is not a decision.
    """
    specs: dict[str, AutoscalerSpec] = {}
    for number, text in enumerate(lines, 1):
        if not text.strip():
            continue
        try:
            yield _entry(json.loads(text), specs)
        except json.JSONDecodeError as error:
            if not text.endswith("\n"):
                return
            raise BadLog(f"{source}:{number}: not JSON: {error.msg}") from error
        except (KeyError, TypeError, ValueError) as error:
            raise BadLog(f"{source}:{number}: not a decision: {_words(error)}") from error


def _entry(document: Mapping[str, Any], specs: dict[str, AutoscalerSpec]) -> Entry:
    if document["version"] != VERSION:
        raise ValueError(f"version {document['version']}, where {VERSION} is known")
    # A night has thousands of lines and a handful of specs.
    key = json.dumps(document["spec"], sort_keys=True)
    if key not in specs:
        specs[key] = AutoscalerSpec.model_validate(document["spec"])
    inputs, decision = Inputs.read(document["inputs"]), document["decision"]
    return Entry(str(document["name"]), float(document["at"]), specs[key], inputs, decision)


def _words(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"no {error.args[0]}"
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"spec.{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return str(error)
