"""gateway.yaml. Paths are relative to the file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, IPvAnyNetwork, field_validator, model_validator

from ostiary.v1.decision_pb2 import Verdict
from ostiary.wire.settings import TlsSettings
from ostiary_gateway.admission.rates import Quotas, TenantLimits
from ostiary_gateway.kms.times import KmsTimes
from ostiary_gateway.reuse.cache import CacheLimits
from ostiary_gateway.review.addresses import AddressRules
from ostiary_gateway.review.retention import Keep
from ostiary_gateway.review.rulings import ReviewRules

_MODEL = ConfigDict(extra="forbid", frozen=True)
PostgresUrl = Annotated[str, Field(pattern="^postgresql://")]
_MIB = 1024 * 1024


class LogSettings(BaseModel):
    """The transparency log."""

    model_config = _MODEL

    origin: str
    """First line of its checkpoints, such as `ostiary.local/log`."""
    key: Path
    """Its signing key."""
    dir: Path
    """Folder that it is published to."""


class S3Settings(BaseModel):
    """A bucket of S3-compatible storage, without versioning; credentials are those of the environment."""

    model_config = _MODEL

    bucket: str
    """Its name."""
    prefix: str = ""
    """What the names of all objects begin with."""
    endpoint: str | None = None
    """URL of the server; null for Amazon's own."""
    region: str = "us-east-1"
    plain_http: bool = False
    """Whether the endpoint may be without TLS."""


class KmsSettings(BaseModel):
    """A plug-in of a KMS, as Kubernetes has them (KMS v2)."""

    model_config = _MODEL

    socket: Path
    """The Unix socket that it listens at, such as `/run/kms/kms.sock`."""
    timeout_seconds: Annotated[float, Field(gt=0)] = 3.0
    """Longest time for one answer."""
    poll_seconds: Annotated[float, Field(gt=0)] = 30.0
    """Time between two questions how it is; a key that the KMS has rotated is noticed within it."""
    grace_seconds: Annotated[float, Field(ge=0)] = 120.0
    """How long keys are used on after it has become unwell; then nothing is decided until it is well."""

    @field_validator("socket", mode="before")
    @classmethod
    def _path(cls, value: object) -> object:
        text = str(value)
        if text.startswith(("unix:", "@")):
            raise ValueError(f"name the socket's file alone, such as /run/kms/kms.sock, not {text}")
        return value

    def times(self) -> KmsTimes:
        """The same, for the keys."""
        return KmsTimes(poll=self.poll_seconds, grace=self.grace_seconds, call=self.timeout_seconds)


class EvidenceSettings(BaseModel):
    """Where images are kept: in a folder, or in a bucket; and under whose key: of a file, or of a KMS."""

    model_config = _MODEL

    dir: Path | None = None
    """Folder of the encrypted items."""
    s3: S3Settings | None = None
    """Bucket of the encrypted items; needs `ostiary[s3]`."""
    key: Path | None = None
    """The key-encryption key; beside `kms`, the one to read what was sealed under it before."""
    kms: KmsSettings | None = None
    """The KMS that keeps the key-encryption keys; null for a key in a file."""
    new_key: bool = False
    """Take the key though evidence was sealed under another, which is lost, and that evidence with it."""

    @model_validator(mode="after")
    def _one_place(self) -> "EvidenceSettings":
        if (self.dir is None) == (self.s3 is None):
            raise ValueError("name dir or s3, one of them")
        if self.key is None and self.kms is None:
            raise ValueError("name key, a file, or kms, the plug-in of a KMS")
        return self


class TenantSettings(BaseModel):
    """What one tenant may ask of one gateway process."""

    model_config = _MODEL

    per_second: Annotated[float, Field(gt=0)] | None = None
    """Checks a second, over a longer time; null for any number."""
    burst: Annotated[float, Field(ge=1)] = 20.0
    """Checks at once after a quiet time."""
    per_day: Annotated[int, Field(ge=0)] | None = None
    """Checks a day (UTC); null for any number."""

    def limits(self) -> TenantLimits:
        """The same, for the meter."""
        return TenantLimits(self.per_second, self.burst, self.per_day)


class KeepSettings(BaseModel):
    """For how long checks are kept; of several, the first that fits a check holds."""

    model_config = _MODEL

    days: Annotated[float, Field(gt=0)] | None
    """Days from the decision on, after which the check is erased; null for good."""
    verdicts: list[Literal["ALLOW", "REVIEW", "BLOCK", "HOLD"]] = []
    """Of these verdicts, as they stand; empty for any."""
    policies: list[str] = []
    """Decided under one of these, such as `default` or `default@1`; empty for any."""

    def keep(self) -> Keep:
        """The same, for the sweeper."""
        return Keep(self.days, [Verdict.Value(f"VERDICT_{name}") for name in self.verdicts], self.policies)


class AdmissionSettings(BaseModel):
    """How much is taken on at once."""

    model_config = _MODEL

    max_checks: Annotated[int, Field(gt=0)] = 512
    """Most checks in progress; the limit that holds is found below it, by how long checks take."""
    max_bytes: Annotated[int, Field(gt=0)] = 256 * _MIB
    """Bytes of request that they hold together."""
    max_wait: Annotated[float, Field(ge=0)] = 0.25
    """Longest time that a check waits for its place, in seconds; then it is refused, with a time to retry
    after.
    """
    max_memory: Annotated[int, Field(gt=0)] | None = None
    """Bytes that the process may hold: at 85% bulk work is refused, at 95% everything; null for no limit."""
    others: TenantSettings = TenantSettings()
    """What a tenant may ask for that is not named under `tenants`."""
    tenants: dict[str, TenantSettings] = {}
    """What tenants may ask for, by name."""

    def quotas(self) -> Quotas:
        """What tenants may ask for."""
        named = {name: settings.limits() for name, settings in self.tenants.items()}
        return Quotas(self.others.limits(), named)


class ReuseSettings(BaseModel):
    """How much is kept of what pods saw, so that identical work is not looked at twice."""

    model_config = _MODEL

    entries: Annotated[int, Field(gt=0)] = 20_000
    """Most checks whose observations are kept."""
    bytes: Annotated[int, Field(gt=0)] = 64 * _MIB
    """Memory that they take together."""
    seconds: Annotated[float, Field(gt=0)] = 3600.0
    """Age from which on a pod looks again."""
    uses: Annotated[int, Field(gt=0)] = 256
    """Checks that one look may serve before a pod looks again."""

    def limits(self) -> CacheLimits:
        """The same, for the cache."""
        return CacheLimits(self.entries, self.bytes, self.seconds, self.uses)


class BulkSettings(BaseModel):
    """Checks that are submitted to be judged when there is room."""

    model_config = _MODEL

    queued: Annotated[int, Field(gt=0)] = 100_000
    """Most that wait, for all gateways on the store."""
    at_once: Annotated[int, Field(gt=0)] = 8
    """Most that one gateway has in hand."""


class CallbackSettings(BaseModel):
    """Where appeals' outcomes may be told, beside the public internet."""

    model_config = _MODEL

    allow: list[IPvAnyNetwork] = []
    """Networks that are called though they are not public."""
    refuse: list[IPvAnyNetwork] = []
    """Networks that are not called though they are, such as a cluster's."""
    ca: Path | None = None
    """Authorities whose servers are trusted, PEM; null for the system's."""

    def rules(self) -> AddressRules:
        """The same, for the guard."""
        return AddressRules(tuple(self.refuse), tuple(self.allow))


class ReviewSettings(BaseModel):
    """The review desk."""

    model_config = _MODEL

    leads: Annotated[list[str], Field(min_length=1)] = ["lead-auditor"]
    """Roles that decide what was escalated, alone."""
    double_share: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of cases that two reviewers have to agree on."""
    double_verdicts: list[Literal["ALLOW", "REVIEW", "BLOCK", "HOLD"]] = []
    """Verdicts of which two reviewers have to agree on every case."""
    four_eyes: list[Literal["ALLOW", "REVIEW", "BLOCK", "HOLD"]] = []
    """Verdicts that two reviewers have to agree to overturn."""
    golden: Path | None = None
    """CSV of `check_id,ruling`: cases whose right ruling is known; null for none."""
    examples: Path | None = None
    """Folder that pictures of settled cases are added to for calibration, not encrypted; null for none."""
    callbacks: CallbackSettings = CallbackSettings()

    def rules(self) -> ReviewRules:
        """How many have to agree."""
        return ReviewRules(
            leads=frozenset(self.leads),
            double_share=self.double_share,
            double_verdicts=_verdicts(self.double_verdicts),
            four_eyes=_verdicts(self.four_eyes),
        )


def _verdicts(names: Sequence[str]) -> frozenset[int]:
    return frozenset(Verdict.Value(f"VERDICT_{name}") for name in names)


class KubernetesSettings(BaseModel):
    """What comes from a Kubernetes cluster in place of files."""

    model_config = _MODEL

    route: str | None = None
    """Name of the TrafficRoute, and of the model whose pods are taken; null where `route` names a file."""
    policy: str | None = None
    """Name of the ModerationPolicy; null where `policy` names a file."""
    brands: bool = False
    """Whether all BrandRegistries of the namespace are in force."""
    namespace: str | None = None
    """Where all these are; null for the pod's own namespace, or the kubeconfig's."""
    name: str | None = None
    """This gateway's name, unlike all others': its Lease is `ostiary-gateway-NAME`; null for the host's name,
    which in a cluster is the pod's.
    """
    server_name: str = "{service}.{namespace}.svc"
    """DNS name in the certificates of the route's pods; `{service}`, `{namespace}`, `{version}` and `{model}`
    are filled in.
    """
    kubeconfig: Path | None = None
    """How to get into the cluster from outside; null for the pod's service account."""
    context: str | None = None
    """Context of the kubeconfig; null for its current one."""
    wait_seconds: Annotated[float, Field(ge=0)] = 60.0
    """How long a start waits for objects that are missing or wrong. It waits for an API server that does not
    answer as long as it takes.
    """
    last_known: Path | None = None
    """Folder where the objects in force are kept: a start without an API server goes on with them; null for
    none.
    """

    @field_validator("server_name")
    @classmethod
    def _known(cls, value: str) -> str:
        try:
            value.format(service="", namespace="", version="", model="")
        except (IndexError, KeyError, ValueError) as error:
            there = "there are {service}, {namespace}, {version} and {model}"
            raise ValueError(f"{error} cannot be filled in; {there}") from error
        return value


class GatewaySettings(BaseModel):
    """Everything that `ostiary gateway serve` needs."""

    model_config = _MODEL

    listen: str = "127.0.0.1:8443"
    """Address for callers, `host:port`; port 0 takes a free one."""
    health: str | None = "127.0.0.1:8444"
    """Address for health probes, without TLS; null for none."""
    admin: str | None = None
    """Address of metrics (`/metrics`) and probes (`/livez`, `/readyz`) over HTTP; null for none."""
    inspect: str | None = None
    """Address of reflection, health and channelz over mutual TLS, for roles that name them; null for none."""
    tls: TlsSettings
    roles: Path
    """Who may call what; read again when it changes."""
    route: Path | None = None
    """Where checks go: an ostiary.v1.TrafficRoute; read again when it changes. Or name `kubernetes.route`."""
    policy: Path | None = None
    """What is done about what is seen: an ostiary.v1.ModerationPolicy; read again when it changes. Or name
    `kubernetes.policy`.
    """
    lists: Path | None = None
    """Folder of hash lists, NAME.yaml with NAME.csv; read again when they change; null for none."""
    brands: Path | None = None
    """Folder of brand registries, NAME.yaml or NAME.json; read again when they change; null for none, or
    where `kubernetes.brands` is true.
    """
    kubernetes: KubernetesSettings | None = None
    """What comes from a Kubernetes cluster in place of files; null for nothing."""
    store: PostgresUrl | Path
    """Database of the record: a file (SQLite), or a URL such as `postgresql://ostiary@db.example/ostiary`."""
    log: LogSettings
    evidence: EvidenceSettings
    retention: list[KeepSettings] = []
    """For how long checks are kept; what no rule fits is kept for good."""
    admission: AdmissionSettings = AdmissionSettings()
    reuse: ReuseSettings | None = ReuseSettings()
    """Reuse of observations of identical work; null for none."""
    bulk: BulkSettings = BulkSettings()
    review: ReviewSettings = ReviewSettings()
    look_seconds: Annotated[float, Field(gt=0)] = 60.0
    """Longest time that a pod gets for one check."""
    drain_seconds: Annotated[float, Field(ge=0)] = 30.0
    """Time that checks in progress get when the gateway is told to stop."""
    log_format: Literal["json", "text"] = "json"
    otlp_endpoint: str | None = None
    """OpenTelemetry collector, such as `http://127.0.0.1:4317`; null for none."""

    @model_validator(mode="after")
    def _from_one_place(self) -> Self:
        cluster = self.kubernetes or KubernetesSettings()
        for key, file, name in (
            ("route", self.route, cluster.route),
            ("policy", self.policy, cluster.policy),
        ):
            if (file is None) == (name is None):
                raise ValueError(
                    f"{key}: give either {key}, a file, or kubernetes.{key}, the name of an object"
                )
        if self.brands is not None and cluster.brands:
            raise ValueError("brands: give either brands, a folder, or kubernetes.brands")
        if self.kubernetes is not None and not (cluster.route or cluster.policy or cluster.brands):
            raise ValueError("kubernetes: say what comes from there: route, policy or brands")
        return self
