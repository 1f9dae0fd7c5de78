"""A whole cluster: store, API server, controllers, nodes; started and stopped as one."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ostiary_operator.sandbox.api.admission import Admission
from ostiary_operator.sandbox.api.call import Backend
from ostiary_operator.sandbox.api.deletions import Deletions
from ostiary_operator.sandbox.api.metadata import timestamp
from ostiary_operator.sandbox.api.operations import Operations
from ostiary_operator.sandbox.api.rbac import Authorizer
from ostiary_operator.sandbox.api.request import SYSTEM, Caller, Write
from ostiary_operator.sandbox.api.resources import Registry, Resource
from ostiary_operator.sandbox.api.server import Server
from ostiary_operator.sandbox.api.status import bad_request
from ostiary_operator.sandbox.api.store import Store
from ostiary_operator.sandbox.api.values import at, copied
from ostiary_operator.sandbox.clock import Clock, RealClock
from ostiary_operator.sandbox.controllers.budgets import Budgets, QuotaUse
from ostiary_operator.sandbox.controllers.definitions import BUCKET, Definitions
from ostiary_operator.sandbox.controllers.deployments import Deployments
from ostiary_operator.sandbox.controllers.desk import SLICES, Desk
from ostiary_operator.sandbox.controllers.endpoints import SERVICE_NAME, Endpoints
from ostiary_operator.sandbox.controllers.garbage import Garbage, Namespaces
from ostiary_operator.sandbox.controllers.jobs import Jobs
from ostiary_operator.sandbox.controllers.kubelet import Kubelet, ModelRuntime, Runtime, Timings
from ostiary_operator.sandbox.controllers.manager import Controller, Manager
from ostiary_operator.sandbox.controllers.processes import ProcessRuntime
from ostiary_operator.sandbox.controllers.replicasets import ReplicaSets
from ostiary_operator.sandbox.controllers.scheduler import Scheduler
from ostiary_operator.sandbox.controllers.weather import Weather
from ostiary_operator.sandbox.credentials import ADMIN, Tokens, kubeconfig, make_certificates, server_context
from ostiary_operator.sandbox.faults import Faults
from ostiary_operator.sandbox.roles import cluster_roles

Json = dict[str, Any]

_NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")
_WRITE = Write(SYSTEM, "kube-apiserver")
_RBAC = "rbac.authorization.k8s.io"


@dataclass
class Settings:
    """How a cluster is set up."""

    folder: Path
    host: str = "127.0.0.1"
    port: int = 0
    journal: bool = False
    """Whether objects outlast the process."""
    window: int = 10_000
    """How many events of each resource are kept for watches."""
    bookmark_every: float = 30.0
    controllers: bool = True
    """False is an API server alone, as a control plane without its managers is."""
    processes: bool = False
    """Whether containers run as processes of this machine; only on the real clock."""
    commands: Mapping[str, list[str]] = field(default_factory=dict)
    """For processes: the command of each image that pods name without one."""
    timings: Timings = field(default_factory=Timings)
    nodes: tuple[Json, ...] = ()
    """Nodes that are there from the start."""
    clock: Clock = field(default_factory=RealClock)
    faults: Faults = field(default_factory=Faults)
    tokens: Tokens = field(default_factory=Tokens)


class Cluster:
    """A running cluster; an async context manager."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.clock = settings.clock
        self.faults = settings.faults
        self.tokens = settings.tokens
        if settings.processes and not isinstance(settings.clock, RealClock):
            raise ValueError("processes run in real time: they cannot be had on a virtual clock")
        settings.folder.mkdir(parents=True, exist_ok=True)
        self.admin_token = self.tokens.give(ADMIN)
        self._runtime: Runtime | None = None
        self._open()

    def _open(self) -> None:
        settings = self.settings
        self.store = Store(settings.folder / "journal.jsonl" if settings.journal else None, settings.window)
        self.registry = Registry()
        for definition in self.store.objects(BUCKET):
            self.registry.define(definition)
        self.operations = Operations(
            self.store, self.registry, self.clock, Admission(self.store, self.locate)
        )
        self.deletions = Deletions(self.operations)

    async def __aenter__(self) -> "Cluster":
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Serves, and works."""
        settings = self.settings
        make_certificates(settings.folder / "pki")
        await self._bootstrap()
        self.manager = Manager(self.store, self.clock, self._controllers())
        await self.manager.settle()
        self.manager.start()
        backend = Backend(
            self.operations,
            self.deletions,
            Authorizer(self.store),
            self.faults,
            self._read_log,
            self.tokens.for_service_account,
            settings.bookmark_every,
        )
        self.server = Server(backend, self.tokens.caller)
        await self.server.start(settings.host, settings.port, server_context(settings.folder / "pki"))
        settings.port = self.server.port
        path = settings.folder / "kubeconfig"
        path.touch(mode=0o600)
        path.write_text(self.kubeconfig(self.admin_token), encoding="utf-8")

    def _controllers(self) -> list[Controller]:
        definitions = Definitions(self.operations, self.deletions)
        if not self.settings.controllers:
            return [definitions]
        return [
            definitions,
            Garbage(self._desk("generic-garbage-collector")),
            Namespaces(self._desk("namespace-controller")),
            Deployments(self._desk("deployment-controller")),
            ReplicaSets(self._desk("replicaset-controller")),
            Jobs(self._desk("job-controller")),
            Scheduler(self._desk("default-scheduler")),
            self._kubelet(),
            Endpoints(self._desk("endpointslice-controller")),
            Budgets(self._desk("disruption-controller")),
            QuotaUse(self._desk("resourcequota-controller")),
            Weather(self._desk("sandbox"), self.faults),
        ]

    def _desk(self, name: str) -> Desk:
        return Desk(self.operations, self.deletions, name)

    def _kubelet(self) -> Kubelet:
        desk, settings = self._desk("kubelet"), self.settings
        if settings.processes:
            self._runtime = ProcessRuntime(desk, settings.folder / "logs", settings.commands)
        else:
            self._runtime = ModelRuntime(desk, settings.timings)
        return Kubelet(desk, self._runtime, settings.timings)

    async def _read_log(self, namespace: str, name: str, query: Mapping[str, str]) -> bytes:
        pod = self.operations.stored(self.resource("", "v1", "pods"), namespace, name).data
        names = [one["name"] for one in pod["spec"]["containers"]]
        container = query.get("container") or names[0]
        if container not in names:
            raise bad_request(f"container {container} is not valid for pod {name}")
        states = at(pod, "status", "containerStatuses", default=[])
        state = next((one.get("state") or {} for one in states if one["name"] == container), {})
        if query.get("previous", "").lower() in ("true", "1"):
            raise bad_request(f'previous terminated container "{container}" in pod "{name}" not found')
        if not at(pod, "spec", "nodeName"):
            raise bad_request(f"pod {name} does not have a host assigned")
        if not (state.keys() & {"running", "terminated"}):
            reason = at(state, "waiting", "reason", default="ContainerCreating")
            told = "trying and failing to pull image" if "Pull" in reason else reason
            raise bad_request(f'container "{container}" in pod "{name}" is waiting to start: {told}')
        tail = query.get("tailLines", "")
        if not isinstance(self._runtime, ProcessRuntime):
            return b""
        return await self._runtime.log(pod, container, int(tail) if tail.isdigit() else None)

    def locate(self, namespace: str, name: str, port: int) -> str | None:
        """The address of a ready pod behind a Service's port, as HOST:PORT; None where there is none."""
        service = self.store.get("services.", (namespace, name))
        if service is None:
            return None
        ports = {one["port"]: one.get("name", "") for one in service.data["spec"].get("ports") or ()}
        for one in self.store.objects(SLICES, namespace):
            if (one["metadata"].get("labels") or {}).get(SERVICE_NAME) != name or port not in ports:
                continue
            number = next(
                (each["port"] for each in one.get("ports") or () if each.get("name", "") == ports[port]), 0
            )
            for endpoint in one.get("endpoints") or ():
                if number and endpoint["conditions"].get("ready"):
                    return f"{endpoint['addresses'][0]}:{number}"
        return None

    async def stop(self) -> None:
        """Serves no longer; processes of pods end."""
        await self.manager.stop()
        await self.server.stop()
        if isinstance(self._runtime, ProcessRuntime):
            await self._runtime.close()
        self.store.close()

    async def restart(self) -> None:
        """Stops and starts everything on the same port, with what the journal holds; all watches break.

        Without a journal the cluster is empty then.
        """
        await self.stop()
        self._open()
        await self.start()

    @property
    def url(self) -> str:
        """Where the API is."""
        return f"https://{self.settings.host}:{self.settings.port}"

    @property
    def authority(self) -> Path:
        """The certificate that the server's was signed by."""
        return self.settings.folder / "pki" / "ca.pem"

    def kubeconfig(self, token: str, namespace: str = "default") -> str:
        """A kubeconfig for whoever has this token."""
        return kubeconfig(self.url, self.authority.read_bytes(), token, namespace)

    def token(self, caller: Caller) -> str:
        """A token for a caller."""
        return self.tokens.give(caller)

    async def advance(self, seconds: float) -> None:
        """Turns the virtual clock."""
        await self.manager.advance(seconds)

    def resource(self, group: str, version: str, plural: str) -> Resource:
        """A resource that is there; LookupError where it is not."""
        found = self.registry.find(group, version, plural)
        if found is None:
            raise LookupError(f"no resource {plural} in {group}/{version}")
        return found

    async def _bootstrap(self) -> None:
        """The objects that every cluster begins with."""
        for name in _NAMESPACES:
            await self._ensure("", "namespaces", "", {"metadata": {"name": name}})
        for name in _NAMESPACES:
            await self._ensure("", "serviceaccounts", name, {"metadata": {"name": "default"}})
        for name, rules in cluster_roles().items():
            await self._ensure(_RBAC, "clusterroles", "", {"metadata": {"name": name}, "rules": rules})
        binding: Json = {
            "metadata": {"name": "cluster-admin"},
            "roleRef": {"apiGroup": _RBAC, "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"apiGroup": _RBAC, "kind": "Group", "name": "system:masters"}],
        }
        await self._ensure(_RBAC, "clusterrolebindings", "", binding)
        for node in self.settings.nodes:
            await self._ensure("", "nodes", "", self._seen_now(node))

    def _seen_now(self, node: Json) -> Json:
        """A node whose conditions are as old as the cluster."""
        made: Json = copied(node)
        now = timestamp(self.clock.now())
        for one in (made.get("status") or {}).get("conditions") or ():
            one |= {"lastHeartbeatTime": now, "lastTransitionTime": now}
        return made

    async def _ensure(self, group: str, plural: str, namespace: str, obj: Json) -> None:
        resource = self.resource(group, "v1", plural)
        if self.store.get(resource.bucket, (namespace, obj["metadata"]["name"])) is None:
            await self.operations.create(resource, namespace, obj, _WRITE)
