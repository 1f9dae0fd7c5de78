"""What is wrong with resources in files, before a cluster sees them: types, rules, sense, references.

The schemas are those of `manifests/crds`, and so are the rules.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ValidationError

from ostiary_operator.resources.crds import GROUP, KINDS, VERSION, Kind, definition
from ostiary_operator.resources.model_deployment import ModelDeploymentSpec
from ostiary_operator.resources.model_override import ModelOverrideSpec
from ostiary_operator.resources.part import WHOLE
from ostiary_operator.sandbox.api.resources import custom_schema
from ostiary_operator.sandbox.api.structural import prune, validate

Json = dict[str, Any]
_KINDS = {kind.name: kind for kind in KINDS}
_STEP = re.compile(r"([^.\[\]]+)|\[(\d+)\]")


@dataclass(frozen=True)
class Remark:
    """One thing, by file and line. `where`: the field."""

    file: str
    line: int
    severity: Literal["error", "warning"]
    where: str
    text: str

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        return f"{self.file}:{self.line}: {self.severity}: {place}{self.text}"


@dataclass(frozen=True)
class Document:
    """One object of a file, and where its fields are."""

    file: str
    node: yaml.Node
    data: Json

    @property
    def kind(self) -> str:
        """What it says that it is."""
        return str(self.data.get("kind", ""))

    @property
    def name(self) -> str:
        """Its name; empty without."""
        metadata = self.data.get("metadata")
        return str(metadata.get("name", "")) if isinstance(metadata, dict) else ""

    def remark(self, severity: Literal["error", "warning"], where: str, text: str) -> Remark:
        """About a field; the line is the field's, or of what it would stand in."""
        return Remark(self.file, _line(self.node, where), severity, where, text)


def lint(
    files: Sequence[tuple[str, str]], now: float, there: Mapping[str, frozenset[str]] | None = None
) -> list[Remark]:
    """What is to be said of files, in their order.

    Args:
        files: names and texts.
        now: seconds since 1970.
        there: names by kind that a cluster has; None: no cluster was asked.
    """
    remarks: list[Remark] = []
    documents: list[Document] = []
    for name, text in files:
        read = _read(name, text)
        documents += [one for one in read if isinstance(one, Document)]
        remarks += [one for one in read if isinstance(one, Remark)]
    for one in documents:
        found = list(_checked(one))
        remarks += found
        if not found:
            remarks += _sense(one, now)
            remarks += _beside(one, documents, there)
    return remarks


def _read(name: str, text: str) -> list[Document | Remark]:
    found: list[Document | Remark] = []
    try:
        for node in yaml.compose_all(text, Loader=yaml.SafeLoader):
            if node is None:
                continue
            loader = yaml.SafeLoader("")
            data = loader.construct_document(node)
            if not isinstance(data, dict):
                line = node.start_mark.line + 1
                found.append(
                    Remark(name, line, "error", "", "an object with apiVersion and kind is expected")
                )
            else:
                found.append(Document(name, node, data))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark is not None else 1
        found.append(Remark(name, line, "error", "", f"not YAML: {getattr(error, 'problem', error)}"))
    if not found:
        found.append(Remark(name, 1, "error", "", "there is nothing in it"))
    return found


def _checked(document: Document) -> Iterator[Remark]:
    """What the API server would say, and what the keeper's own reader would."""
    wanted = f"{GROUP}/{VERSION}"
    if document.data.get("apiVersion") != wanted:
        yield document.remark("error", "apiVersion", f"{wanted} is expected")
        return
    kind = _KINDS.get(document.kind)
    if kind is None:
        yield document.remark("error", "kind", f"{document.kind!r} is none of {', '.join(sorted(_KINDS))}")
        return
    if not document.name:
        yield document.remark("error", "metadata.name", "a name is needed")
        return
    (version,) = definition(kind)["spec"]["versions"]
    schema = custom_schema(version)
    data = _plain(document.data)
    for path in prune(schema, data):
        yield document.remark("error", path, "there is no such field")
    wrong = validate(schema, data)
    yield from (document.remark("error", one.path, one.text) for one in wrong)
    if not wrong:
        yield from _read_by_the_keeper(document, kind, data)


def _plain(value: Any) -> Any:
    """As JSON has it: YAML has times of its own."""
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if hasattr(value, "isoformat"):
        return value.isoformat().replace("+00:00", "Z")
    return value


def _read_by_the_keeper(document: Document, kind: Kind, data: Json) -> Iterator[Remark]:
    if not issubclass(kind.spec, BaseModel):
        return
    try:
        kind.spec.model_validate(data["spec"])
    except ValidationError as error:
        for one in error.errors():
            where = "spec" + "".join(
                f"[{each}]" if isinstance(each, int) else f".{each}" for each in one["loc"]
            )
            yield document.remark("error", where, one["msg"].removeprefix("Value error, "))


def _sense(document: Document, now: float) -> Iterator[Remark]:
    """What is allowed and rarely meant."""
    sense: Mapping[str, Callable[[Document, float], Iterator[Remark]]] = {
        "ModelDeployment": _deployment,
        "ModelOverride": _override,
    }
    if document.kind in sense:
        yield from sense[document.kind](document, now)


def _deployment(document: Document, now: float) -> Iterator[Remark]:
    spec = ModelDeploymentSpec.model_validate(_plain(document.data["spec"]))
    steps = spec.strategy.canary.steps
    before = [one for one in (spec.strategy.shadow, spec.strategy.ab) if one is not None]
    judged = any(one.analysis for one in (*steps, *before))
    capacity = spec.strategy.gates.capacity
    if capacity is not None and spec.replicas > (capacity.pods or spec.replicas):
        what = f"{capacity.pods} pods are counted on, and replicas asks for {spec.replicas}"
        yield document.remark("warning", "spec.strategy.gates.capacity.pods", what)
    if not steps and not before:
        yield document.remark("warning", "spec.strategy", "a new version gets all traffic at once")
    elif not judged:
        yield document.remark("warning", "spec.strategy", "nothing judges a new version: add an analysis")
    if spec.warm.versions == 0:
        what = "none is kept warm: a promotion waits for --force, and a rollback takes a cold start"
        yield document.remark("warning", "spec.warm.versions", what)
    if any(one.set_weight == WHOLE for one in steps[:-1]):
        what = "steps after all traffic: watch it with postPromotion instead"
        yield document.remark("warning", "spec.strategy.canary.steps", what)


def _override(document: Document, now: float) -> Iterator[Remark]:
    spec = ModelOverrideSpec.model_validate(_plain(document.data["spec"]))
    if spec.expires_at <= now:
        yield document.remark("error", "spec.expiresAt", "it lies in the past: the order would do nothing")


def _references(document: Document) -> Iterator[tuple[str, str, str]]:
    """Field, kind and name of what an object names."""
    spec = document.data["spec"]
    if document.kind == "ModelOverride":
        yield "spec.target", "ModelDeployment", spec["target"]
        if "toVersion" in spec:
            yield "spec.toVersion", "ModelVersion", spec["toVersion"]
    if document.kind != "ModelDeployment":
        return
    yield "spec.versionRef.name", "ModelVersion", spec["versionRef"]["name"]
    strategy = spec.get("strategy") or {}
    places = {
        f"spec.strategy.canary.steps[{index}].analysis": one.get("analysis")
        for index, one in enumerate((strategy.get("canary") or {}).get("steps") or ())
    }
    for before in ("shadow", "ab"):
        places[f"spec.strategy.{before}.analysis"] = (strategy.get(before) or {}).get("analysis")
    places["spec.postPromotion.analysis"] = (spec.get("postPromotion") or {}).get("analysis")
    for where, analysis in places.items():
        if analysis:
            yield f"{where}.template", "AnalysisTemplate", analysis["template"]


def _beside(
    document: Document, documents: Sequence[Document], there: Mapping[str, frozenset[str]] | None
) -> Iterator[Remark]:
    """What an object names and nobody has."""
    for where, kind, name in _references(document):
        if any((one.kind, one.name) == (kind, name) for one in documents):
            continue
        if there is None:
            what = f"{kind} {name} is not in these files: the cluster has to have it (--cluster looks)"
            yield document.remark("warning", where, what)
        elif name not in there.get(kind, frozenset()):
            text = f"{kind} {name} is neither in these files nor in the cluster"
            yield document.remark("error", where, text)


def _line(node: yaml.Node, where: str) -> int:
    """The line of a field; where it is not there, that of the nearest one around it."""
    line = node.start_mark.line + 1
    for name, index in _STEP.findall(where):
        found: yaml.Node | None = None
        if name and isinstance(node, yaml.MappingNode):
            pair = next(((key, value) for key, value in node.value if key.value == name), None)
            if pair is not None:
                line, found = pair[0].start_mark.line + 1, pair[1]
        elif index and isinstance(node, yaml.SequenceNode) and int(index) < len(node.value):
            found = node.value[int(index)]
            line = found.start_mark.line + 1
        if found is None:
            break
        node = found
    return line
