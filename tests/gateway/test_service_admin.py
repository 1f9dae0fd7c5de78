"""AdminService over mutual TLS: what is listed, what a change does, and what refuses it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest

from gateway.brands import registries
from gateway.brands.registries import brand
from gateway.hashes import lists
from gateway.scripted_pod import Script, truthful
from gateway.site import Running, Site
from ostiary.v1.admin_pb2 import (
    ChangeReport,
    HashEntry,
    HashKind,
    HashList,
    ListBrandRegistriesRequest,
    ListGalleriesRequest,
    ListHashListsRequest,
    ListPoliciesRequest,
    PutBrandRegistryRequest,
    PutHashListRequest,
    PutPolicyRequest,
)
from ostiary.v1.admin_pb2_grpc import AdminServiceStub
from ostiary.v1.config_pb2 import BrandRegistry, ModerationPolicy
from ostiary.v1.decision_pb2 import Action, Verdict
from ostiary.v1.image_pb2 import Image
from ostiary.v1.listing_pb2 import Listing
from ostiary.v1.moderation_pb2 import CheckRequest, CheckResponse
from ostiary.v1.observation_pb2 import DetectorInfo, Observations, PdqHash
from ostiary.wire.errors import OstiaryError, Reason, from_rpc_error

if TYPE_CHECKING:
    from ostiary.v1.admin_pb2_grpc import AdminServiceAsyncStub

PDQ = bytes.fromhex("f8f8f0cee0f4a84f06370a22038f63f0b36e2ed596621e1d33e6b39c4e9c9b22")


@pytest.fixture
async def served(site: Site) -> AsyncIterator[Running]:
    """A gateway with a registry, a list and a policy."""
    registries.write(site.folder / "brands", brand())
    (site.folder / "lists/fakes.yaml").write_bytes(lists.header(name="fakes"))
    (site.folder / "lists/fakes.csv").write_bytes(lists.rows([{"hash": "0" * 64}]))
    async with site.start(lists="lists", brands="brands") as running:
        yield running


@pytest.fixture
def admin(served: Running) -> "AdminServiceAsyncStub":
    stub: AdminServiceAsyncStub = AdminServiceStub(served.channel("admin"))
    return stub


async def refusal(call: grpc.aio.UnaryUnaryCall) -> OstiaryError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return from_rpc_error(caught.value)


async def put_registry(
    admin: "AdminServiceAsyncStub", message: BrandRegistry, *, dry_run: bool = False
) -> ChangeReport:
    request = PutBrandRegistryRequest(registry=message, dry_run=dry_run)
    return (await admin.PutBrandRegistry(request, timeout=10)).report


async def put_list(
    admin: "AdminServiceAsyncStub", message: HashList, *, dry_run: bool = False
) -> ChangeReport:
    return (await admin.PutHashList(PutHashListRequest(list=message, dry_run=dry_run), timeout=10)).report


async def put_policy(
    admin: "AdminServiceAsyncStub", message: ModerationPolicy, *, dry_run: bool = False
) -> ChangeReport:
    return (await admin.PutPolicy(PutPolicyRequest(policy=message, dry_run=dry_run), timeout=10)).report


async def registries_of(admin: "AdminServiceAsyncStub") -> list[BrandRegistry]:
    response = await admin.ListBrandRegistries(ListBrandRegistriesRequest(), timeout=10)
    return list(response.registries)


async def check(running: Running, **listing: str) -> CheckResponse:
    request = CheckRequest(images=[Image(data=b"image")], listing=Listing(**{"title": "Cup", **listing}))
    return await running.as_("pipeline").Check(request, timeout=10)


def known(version: str = "2", *hashes: bytes, **more: object) -> HashList:
    return HashList(
        **{  # type: ignore[arg-type]
            "name": "fakes",
            "version": version,
            "kind": HashKind.HASH_KIND_PDQ,
            "action": Action.ACTION_BLOCK,
            "policy": "prohibited_ads",
            "label": "qr_code",
            "entries": [HashEntry(hash=hash_, note="seen, before") for hash_ in hashes or (PDQ,)],
            **more,
        }
    )


def files(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


async def test_what_is_in_force_is_listed(admin: "AdminServiceAsyncStub") -> None:
    """Registries without images, lists without entries, the policy whole, each pod's gallery."""
    [registry] = await registries_of(admin)
    assert (registry.name, registry.version) == ("house", "1")
    assert [mark.reference_id for mark in registry.brands[0].marks] == ["zorvane-mark"]
    assert not registry.brands[0].marks[0].image
    [one] = (await admin.ListHashLists(ListHashListsRequest(), timeout=10)).lists
    assert (one.name, one.kind, one.max_distance, len(one.entries)) == (
        "fakes",
        HashKind.HASH_KIND_PDQ,
        31,
        0,
    )
    [policy] = (await admin.ListPolicies(ListPoliciesRequest(), timeout=10)).policies
    assert policy.name == "default"
    [gallery] = (await admin.ListGalleries(ListGalleriesRequest(), timeout=10)).galleries
    assert gallery.digest == registries.in_force(brand()).gallery
    assert gallery.HasField("pushed_at")


async def test_a_registry_is_put_in_force_and_to_pods(
    site: Site, script: Script, served: Running, admin: "AdminServiceAsyncStub"
) -> None:
    """The next check is judged by it, its receipt says so, and the pods' galleries follow."""

    def compared(request: CheckRequest) -> object:
        seen = registries.compared(script.gallery.digest, registries.candidate("vellitor"))
        return truthful(request, seen)

    script.answer = compared  # type: ignore[assignment]
    before = await check(served, seller="s9")
    new = registries.registry(brand("vellitor", shade=2), version="2")
    report = await put_registry(admin, new.message)
    assert (report.before, report.after, report.sha256) == ("1", "2", new.digest)
    assert not report.problems
    after = await check(served, seller="s9")
    assert before.findings[0].label == "unclear_authorisation"
    assert (after.findings[0].label, after.verdict) == ("unauthorised_brand", Verdict.VERDICT_BLOCK)
    assert before.receipt.policy_sha256 != after.receipt.policy_sha256
    assert script.gallery.put
    async with site.start(lists="lists", brands="brands") as again:
        stub: AdminServiceAsyncStub = AdminServiceStub(again.channel("admin"))
        assert [one.version for one in await registries_of(stub)] == ["2"]
    assert script.gallery.digest == registries.in_force(brand("vellitor", shade=2)).gallery


async def test_a_dry_run_changes_nothing(site: Site, admin: "AdminServiceAsyncStub") -> None:
    """It says what would be in force, or why not, of registries, lists and policies."""
    before = files(site.folder)
    new = registries.registry(brand("vellitor", shade=2), version="2")
    report = await put_registry(admin, new.message, dry_run=True)
    assert (report.before, report.after, report.sha256) == ("1", "2", new.digest)
    assert report.dry_run
    assert (await put_registry(admin, BrandRegistry(name="house"), dry_run=True)).problems
    report = await put_list(admin, known(), dry_run=True)
    assert (report.before, report.after, list(report.problems)) == ("1", "2", [])
    [policy] = (await admin.ListPolicies(ListPoliciesRequest(), timeout=10)).policies
    policy.version = "2"
    report = await put_policy(admin, policy, dry_run=True)
    assert (report.before, report.after, list(report.problems)) == ("1", "2", [])
    assert files(site.folder) == before
    assert [one.version for one in await registries_of(admin)] == ["1"]


@pytest.mark.parametrize(
    ("message", "problem"),
    [
        (BrandRegistry(), "name: a DNS label is needed"),
        (BrandRegistry(name="../house", version="2"), "name: a DNS label is needed"),
        (
            registries.registry(brand(), name="other").message,
            "brands[0].id: it is the id of brand zorvane of house",
        ),
        (registries.registry(brand("vellitor", shade=2)).message, "version: '1' is in force already"),
    ],
    ids=["nothing", "elsewhere", "overlapping", "another under the same version"],
)
async def test_a_bad_registry_is_refused(
    site: Site, admin: "AdminServiceAsyncStub", message: BrandRegistry, problem: str
) -> None:
    """With everything that is wrong, each with its path; what is in force stays, and is what is reported."""
    before = files(site.folder / "brands")
    report = await put_registry(admin, message)
    assert problem in report.problems[0]
    assert report.after == report.before
    assert files(site.folder / "brands") == before
    assert [one.version for one in await registries_of(admin)] == ["1"]


async def test_the_same_registry_again_is_no_change(site: Site, admin: "AdminServiceAsyncStub") -> None:
    """A caller that is not sure whether its change arrived asks again."""
    before = files(site.folder / "brands")
    report = await put_registry(admin, registries.registry(brand()).message)
    assert (report.before, report.after, list(report.problems)) == ("1", "1", [])
    assert files(site.folder / "brands") == before


async def test_what_is_listed_can_be_changed_and_put(admin: "AdminServiceAsyncStub") -> None:
    """Marks keep their images: a permission is added without sending them again."""
    [registry] = await registries_of(admin)
    registry.version = "2"
    registry.brands[0].authorisations.add(seller="s7")
    report = await put_registry(admin, registry)
    assert not report.problems
    whole = registries.registry(brand(authorisations=[{"seller": "s7"}]), version="2")
    assert report.sha256 == whole.digest


async def test_a_list_is_put_in_force(
    script: Script, served: Running, admin: "AdminServiceAsyncStub"
) -> None:
    """The next check finds its images; a new list is made as well."""
    hashed = Observations(
        pdq=[PdqHash(hash=PDQ, quality=100)], detectors=[DetectorInfo(name="hashes", completed=True)]
    )
    script.answer = lambda request: truthful(request, hashed)
    assert not (await check(served)).findings
    report = await put_list(admin, known())
    assert (report.before, report.after, list(report.problems)) == ("1", "2", [])
    [finding] = (await check(served)).findings
    assert finding.evidence.known_image.list == "fakes@2"
    assert finding.evidence.known_image.note == "seen, before"
    report = await put_list(admin, known("1", name="more"))
    assert (report.before, report.after) == ("", "1")
    held = (await admin.ListHashLists(ListHashListsRequest(), timeout=10)).lists
    assert [one.name for one in held] == ["fakes", "more"]


@pytest.mark.parametrize(
    ("message", "problem"),
    [
        (HashList(), "name: a DNS label is needed"),
        (known(name="../fakes"), "name: a DNS label is needed"),
        (known("2", PDQ, b"short"), "entries[1].hash: 5 bytes; 32 are needed"),
        (known(max_distance=32), "maxDistance: 0 to 31 bits"),
        (known(label=""), "label: say which one"),
        (known(entries=[]), "there is no entry"),
        (known(entries=[HashEntry(hash=PDQ, note="x" * 501)]), "note: 501 characters; at most 500"),
        (known(entries=[HashEntry(hash=PDQ, note="two\nlines")]), "cannot be printed"),
        (known("1"), "version: '1' is in force already"),
    ],
    ids=["nothing", "elsewhere", "hash", "distance", "label", "empty", "long", "unprintable", "version"],
)
async def test_a_bad_list_is_refused(
    site: Site, admin: "AdminServiceAsyncStub", message: HashList, problem: str
) -> None:
    """In words, and nothing is written."""
    before = files(site.folder / "lists")
    report = await put_list(admin, message)
    assert any(problem in told for told in report.problems)
    assert report.after == report.before
    assert files(site.folder / "lists") == before


async def test_a_policy_is_put_in_force(served: Running, admin: "AdminServiceAsyncStub") -> None:
    """The next receipt names it."""
    [policy] = (await admin.ListPolicies(ListPoliciesRequest(), timeout=10)).policies
    policy.version = "2"
    del policy.policies[1:]
    report = await put_policy(admin, policy)
    assert (report.before, report.after, list(report.problems)) == ("1", "2", [])
    answer = await check(served)
    assert (answer.receipt.policy, answer.receipt.policy_sha256) == ("default@2", report.sha256)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"version": ""}, "version: it is shown in receipts"),
        ({"name": "strict", "version": "2"}, "name: this gateway's policy is 'default'"),
        ({"default_territory": "DE"}, "version: '1' is in force already"),
        ({"rule_packs": ["none"], "version": "2"}, "there is no pack 'none'"),
    ],
    ids=["no version", "another name", "another under the same version", "no such pack"],
)
async def test_a_bad_policy_is_refused(
    site: Site, admin: "AdminServiceAsyncStub", change: dict[str, object], problem: str
) -> None:
    """In words, and nothing is written."""
    before = files(site.folder)
    [policy] = (await admin.ListPolicies(ListPoliciesRequest(), timeout=10)).policies
    policy.MergeFrom(ModerationPolicy(**change))  # type: ignore[arg-type]
    if change.get("version") == "":
        policy.version = ""
    report = await put_policy(admin, policy)
    assert problem in report.problems[0]
    assert (report.before, report.after) == ("1", "1")
    assert files(site.folder).keys() == before.keys()
    assert files(site.folder)[str(site.folder / "policy.yaml")] == before[str(site.folder / "policy.yaml")]


@pytest.mark.parametrize("who", ["pipeline", "auditor", "nobody"])
async def test_others_may_not(served: Running, site: Site, who: str) -> None:
    """Neither list nor change: the role is compliance-admin's."""
    before = files(site.folder / "brands")
    stub: AdminServiceAsyncStub = AdminServiceStub(served.channel(who))
    new = registries.registry(brand("vellitor", shade=2), version="2").message
    for call in (
        stub.PutBrandRegistry(PutBrandRegistryRequest(registry=new), timeout=10),
        stub.ListBrandRegistries(ListBrandRegistriesRequest(), timeout=10),
    ):
        assert (await refusal(call)).reason is Reason.PERMISSION_DENIED
    assert files(site.folder / "brands") == before


async def test_a_gateway_without_folders_says_so(running: Running) -> None:
    """Nothing is listed, and a change has no place to go to."""
    stub: AdminServiceAsyncStub = AdminServiceStub(running.channel("admin"))
    assert not await registries_of(stub)
    assert not (await stub.ListGalleries(ListGalleriesRequest(), timeout=10)).galleries
    for call, key in (
        (stub.PutBrandRegistry(PutBrandRegistryRequest(), timeout=10), "brands"),
        (stub.PutHashList(PutHashListRequest(), timeout=10), "lists"),
    ):
        error = await refusal(call)
        assert error.reason is Reason.FAILED_PRECONDITION
        assert f"`{key}` in its gateway.yaml" in error.message


async def test_a_folder_that_cannot_be_written_says_so(site: Site, admin: "AdminServiceAsyncStub") -> None:
    """As a mounted ConfigMap: what is in force stays so."""
    (site.folder / "brands").rename(site.folder / "away")
    new = registries.registry(brand("vellitor", shade=2), version="2").message
    error = await refusal(admin.PutBrandRegistry(PutBrandRegistryRequest(registry=new), timeout=10))
    assert error.reason is Reason.FAILED_PRECONDITION
    assert "cannot be written" in error.message
    assert [one.version for one in await registries_of(admin)] == ["1"]
