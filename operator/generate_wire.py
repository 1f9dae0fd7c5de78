"""Generates the table by which the sandbox reads and writes Kubernetes' protobuf.

`python operator/generate_wire.py API APIMACHINERY` reads the Go types in checkouts of k8s.io/api and
k8s.io/apimachinery, whose field tags say both the JSON name and the number on the wire, and writes
`wire.json`: for each message the fields by number, as [name, type, whether a zero is left out].
"""

import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path

TABLE = Path(__file__).resolve().parent / "ostiary_operator" / "sandbox" / "api" / "wire.json"
GROUPS = (
    "admissionregistration", "apps", "authentication", "authorization", "autoscaling", "batch",
    "coordination", "core", "discovery", "events", "networking", "policy", "rbac", "scheduling",
)  # fmt: skip
KINDS = {
    "core/v1": (
        "Binding", "ConfigMap", "Event", "Namespace", "Node", "PersistentVolumeClaim", "Pod", "ResourceQuota",
        "Secret", "Service", "ServiceAccount",
    ),
    "apps/v1": ("Deployment", "ReplicaSet"),
    "admissionregistration/v1": ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"),
    "authentication/v1": ("SelfSubjectReview", "TokenRequest"),
    "authorization/v1": ("SelfSubjectAccessReview", "SelfSubjectRulesReview", "SubjectAccessReview"),
    "autoscaling/v1": ("Scale",),
    "batch/v1": ("Job",),
    "coordination/v1": ("Lease",),
    "discovery/v1": ("EndpointSlice",),
    "events/v1": ("Event",),
    "meta/v1": ("DeleteOptions", "Status"),
    "networking/v1": ("NetworkPolicy",),
    "policy/v1": ("Eviction", "PodDisruptionBudget"),
    "rbac/v1": ("ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"),
    "scheduling/v1": ("PriorityClass",),
}  # fmt: skip
SUFFIXED = {
    "admissionregistration": "admissionregistration.k8s.io", "authentication": "authentication.k8s.io",
    "authorization": "authorization.k8s.io", "coordination": "coordination.k8s.io",
    "discovery": "discovery.k8s.io", "events": "events.k8s.io", "networking": "networking.k8s.io",
    "rbac": "rbac.authorization.k8s.io", "scheduling": "scheduling.k8s.io", "core": "", "meta": "",
}  # fmt: skip
SPECIAL = {
    "resource.Quantity": "quantity", "intstr.IntOrString": "int-or-string", "metav1.Time": "time",
    "metav1.MicroTime": "micro-time", "runtime.RawExtension": "raw", "metav1.FieldsV1": "fields",
}  # fmt: skip
SCALARS = {
    "string": "string", "bool": "bool", "int32": "int", "int64": "int", "int": "int", "float64": "double",
    "[]byte": "bytes", "types.UID": "string", "rune": "int",
}  # fmt: skip
_FIELD = re.compile(r'^\t(?:\w+ +)?(\*?\S+) +`json:"([^"]*)".*?(?: protobuf:"([^"]*)".*)?`')
_STRUCT = re.compile(r"^type (\w+) struct \{$")
_OTHER = re.compile(r"^type (\w+) =? ?((?!struct)[\w.\[\]*]+)$")


@dataclass
class Package:
    """The types of one package."""

    name: str
    structs: dict[str, list[tuple[str, str, str]]]
    others: dict[str, str]


def read(name: str, folder: Path) -> Package:
    """The types that a package's types.go declares."""
    package = Package(name, {}, {})
    lines = iter((folder / "types.go").read_text(encoding="utf-8").splitlines())
    for line in lines:
        if match := _OTHER.match(line.partition("//")[0].rstrip()):
            package.others[match[1]] = match[2]
        elif match := _STRUCT.match(line):
            fields = package.structs.setdefault(match[1], [])
            for inner in lines:
                if inner == "}":
                    break
                if field := _FIELD.match(inner):
                    fields.append((field[1], field[2], field[3] or ""))
    return package


class Table:
    """Collects messages, those that a message uses with it."""

    def __init__(self, packages: dict[str, Package]) -> None:
        self._packages = packages
        self.messages: dict[str, dict[str, list[object]]] = {}

    def add(self, package: str, name: str) -> str:
        """Adds a message; its name in the table."""
        key = f"{package}.{name}"
        if key not in self.messages:
            self.messages[key] = made = {}
            for go, tag, wire in self._packages[package].structs[name]:
                if not wire or wire == "-":
                    continue
                number = wire.split(",")[1]
                json_name, _, options = tag.partition(",")
                inline = "inline" in options or not json_name
                drops = "omitempty" in options and not go.startswith("*")
                made[number] = ["" if inline else json_name, self._type(package, go.lstrip("*")), drops]
        return key

    def _type(self, package: str, go: str) -> str:
        if go in SPECIAL:
            return SPECIAL[go]
        if go in SCALARS:
            return SCALARS[go]
        if go.startswith("[]"):
            return f"[]{self._type(package, go[2:].lstrip('*'))}"
        if match := re.fullmatch(r"map\[[\w.]+\](.+)", go):
            return f"{{}}{self._type(package, match[1])}"
        place, _, name = go.rpartition(".")
        place = {"metav1": "meta", "v1": "core", "corev1": "core", "apiv1": "core"}.get(place, place)
        place = place or package
        if f"metav1.{name}" in SPECIAL and place == "meta":
            return SPECIAL[f"metav1.{name}"]
        if name in self._packages[place].structs:
            return self.add(place, name)
        meaning = self._packages[place].others[name]
        inner = self._type(place, meaning)
        return f"items:{inner}" if meaning.startswith("[]") else inner


def table(api: Path, machinery: Path) -> dict[str, dict[str, object]]:
    """Kinds and messages."""
    packages = {name: read(name, api / name / "v1") for name in GROUPS}
    packages["meta"] = read("meta", machinery / "pkg" / "apis" / "meta" / "v1")
    made = Table(packages)
    kinds: dict[str, object] = {}
    for place, names in KINDS.items():
        package, _, version = place.partition("/")
        group = SUFFIXED.get(package, package)
        for name in names:
            kinds[f"{group}/{version}/{name}".lstrip("/")] = made.add(package, name)
    return {"kinds": kinds, "messages": {name: made.messages[name] for name in sorted(made.messages)}}


def as_text(found: dict[str, dict[str, object]]) -> str:
    """The table as JSON with a line for each message."""

    def compact(value: object) -> str:
        return json.dumps(value, separators=(",", ":"))

    rows = [f'"{name}":{compact(fields)}' for name, fields in found["messages"].items()]
    return f'{{"kinds":{compact(found["kinds"])},\n"messages":{{\n' + ",\n".join(rows) + "\n}}\n"


if __name__ == "__main__":
    TABLE.write_text(as_text(table(Path(sys.argv[1]), Path(sys.argv[2]))), encoding="utf-8")
