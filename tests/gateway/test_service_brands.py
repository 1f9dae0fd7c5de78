"""Brands in a gateway that serves, over mutual TLS: from a file to the pods, and to the verdict."""

import asyncio
from typing import TYPE_CHECKING

from gateway.brands import registries
from gateway.brands.registries import brand, candidate, compared
from gateway.scripted_pod import Script, serving, truthful
from gateway.site import People, Running, Site
from ostiary.v1.decision_pb2 import Verdict
from ostiary.v1.image_pb2 import Image
from ostiary.v1.listing_pb2 import Listing
from ostiary.v1.moderation_pb2 import CheckRequest, CheckResponse
from ostiary.v1.observation_pb2 import PolicyState
from ostiary_gateway.routing import load

if TYPE_CHECKING:
    from ostiary.v1.inference_pb2 import InferResponse


def comparing(script: Script) -> None:
    """The pod sees a mark of Zorvane, once its gallery has it."""

    def answer(request: CheckRequest) -> "InferResponse":
        marks = script.gallery.put[-1].marks if script.gallery.put else ()
        seen = [candidate()] if any(mark.brand == "zorvane" for mark in marks) else []
        return truthful(request, compared(script.gallery.digest, *seen))

    script.answer = answer


async def check(running: Running, seller: str = "s9") -> CheckResponse:
    request = CheckRequest(images=[Image(data=b"image")], listing=Listing(title="Cup", seller=seller))
    return await running.as_("pipeline").Check(request, timeout=10)


def state(answer: CheckResponse) -> int:
    return next(each.state for each in answer.policies if each.policy == "logo_infringement")


async def test_the_first_check_is_judged_with_the_gallery(site: Site, script: Script) -> None:
    """Pods that are there get the marks before the gateway serves."""
    comparing(script)
    registries.write(site.folder / "brands", brand(authorisations=[{"seller": "s7"}]))
    async with site.start(brands="brands") as running:
        answer = await check(running)
        allowed = await check(running, "s7")
    assert (answer.verdict, state(answer)) == (Verdict.VERDICT_BLOCK, PolicyState.POLICY_STATE_JUDGED)
    [finding] = answer.findings
    assert (finding.label, finding.source) == ("unauthorised_brand", "logo")
    assert finding.evidence.brand.reference_id == "zorvane-mark"
    assert allowed.verdict == Verdict.VERDICT_ALLOW
    assert [each.label for each in allowed.findings] == ["authorised_brand"]


async def test_a_registry_is_taken_up_while_it_runs(site: Site, script: Script) -> None:
    """Its marks reach the pod, and meanwhile no check is allowed that the policy wants judged."""
    comparing(script)
    text = (site.folder / "policy.yaml").read_text(encoding="utf-8")
    (site.folder / "policy.yaml").write_text(
        text.replace("- policy: logo_infringement\n    optional: true", "- policy: logo_infringement"),
        encoding="utf-8",
    )
    async with site.start(brands="brands") as running:
        before = await check(running)
        registries.write(site.folder / "brands", brand())
        for _ in range(100):
            after = await check(running)
            assert after.verdict != Verdict.VERDICT_ALLOW
            if after.verdict == Verdict.VERDICT_BLOCK:
                break
            await asyncio.sleep(0.1)
    assert (before.verdict, state(before)) == (
        Verdict.VERDICT_HOLD,
        PolicyState.POLICY_STATE_UNSUPPORTED,
    )
    assert after.verdict == Verdict.VERDICT_BLOCK
    assert before.receipt.policy_sha256 != after.receipt.policy_sha256


async def test_a_pod_that_comes_is_asked_once_it_has_the_gallery(
    site: Site, script: Script, people: People
) -> None:
    """Scaling up holds no check: while the marks are on their way, the pods that have them take all."""
    late = Script()
    late.gallery.gate.clear()
    comparing(script)
    comparing(late)
    registries.write(site.folder / "brands", brand())
    async with serving(late, people.credentials("pod")) as pod, site.start(brands="brands") as running:
        first = (await check(running)).verdict
        address = load((site.folder / "route.yaml").read_text()).versions[0].endpoints[0].address
        site.route([address, pod.address])
        while not late.gallery.put:
            await check(running)
        verdicts = {(await check(running)).verdict for _ in range(20)}
        assert not late.asked
        late.gallery.gate.set()
        while not late.asked:
            verdicts.add((await check(running)).verdict)
    assert {first, *verdicts} == {Verdict.VERDICT_BLOCK}


async def test_a_pod_that_takes_no_gallery_stands_in_nobodys_way(site: Site, script: Script) -> None:
    """The gateway starts and judges all else; brands are unsupported, as the shipped policy allows."""
    script.gallery.compares = False
    registries.write(site.folder / "brands", brand())
    async with site.start(brands="brands") as running:
        answer = await check(running)
    assert answer.verdict == Verdict.VERDICT_ALLOW
    assert state(answer) == PolicyState.POLICY_STATE_UNSUPPORTED
    assert not script.gallery.put
