"""The demo fails loudly: a wrong verdict, a caller who is let in, a record that does not verify."""

import asyncio
from pathlib import Path

import pytest
import yaml

from client.scripted_gateway import Credentials, Script, serving, verdict
from ostiary.cli.demo_run import Demo, Judged
from ostiary.cli.stack.layout import Layout
from ostiary.client import CheckResult
from ostiary.demo import DemoImage, demo_images
from ostiary.v1.decision_pb2 import VERDICT_ALLOW, VERDICT_BLOCK, Verdict

IMAGES = demo_images()


async def run(root: Path, script: Script, auditor: str) -> list[str]:
    """What the demo finds wrong with a server that answers from a script and has no record."""
    credentials = Credentials.make(root / "credentials")
    async with serving(script, credentials) as server:
        for role, path in (("pipeline", "/tenant/demo/role/pipeline"), ("auditor", auditor)):
            folder = credentials.issue_client(role, path)
            profile = credentials.profile(server.address, folder).model_dump(mode="json")
            (root / role).mkdir()
            (root / role / "profile.yaml").write_text(yaml.safe_dump(profile))
        return await asyncio.to_thread(Demo(Layout(root), root, IMAGES).run)


async def test_wrong_verdicts(tmp_path: Path) -> None:
    """Each image whose verdict is not the expected one is named, and so is a record that does not verify."""
    failures = await run(tmp_path, Script([verdict(VERDICT_ALLOW)]), "/tenant/demo/role/auditor")
    wrong = [image.file for image in IMAGES if "ALLOW" not in image.expected]
    assert failures == [*(f"{file} got ALLOW" for file in wrong), "the record did not verify"]


async def test_let_in(tmp_path: Path) -> None:
    """A caller who should have been denied and was answered is a failure."""
    script = Script([verdict(VERDICT_BLOCK)])
    assert "a caller without the right was not denied" in await run(
        tmp_path, script, "/tenant/demo/role/pipeline"
    )
    assert len(script.requests) == len(IMAGES) + 1


@pytest.mark.parametrize("image", IMAGES, ids=lambda image: image.file)
def test_expectations_are_strict(image: DemoImage) -> None:
    """An image is either clean, to be blocked, or impossible to judge; no other verdict passes."""
    passing = {
        name.removeprefix("VERDICT_")
        for name, value in Verdict.items()
        if value and Judged(image, CheckResult.from_proto(verdict(value)), 0).as_expected
    }
    assert passing == set(image.expected)
    assert passing in ({"ALLOW", "REVIEW"}, {"BLOCK"}, {"HOLD"})
