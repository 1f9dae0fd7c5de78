"""What runs a version: where its pods find the bundle."""

from pathlib import Path
from typing import Any

import pytest

from bench.keeper.stage import TEMPLATE
from ostiary_operator.cluster.version_objects import deployment, read_template
from ostiary_operator.resources.model_version import ModelVersionSpec

Json = dict[str, Any]
DIGEST = f"sha256:{'a' * 64}"
OWNER: Json = {
    "apiVersion": "ostiary.dev/v1alpha1", "kind": "ModelDeployment",
    "metadata": {"name": "qwen", "namespace": "shop", "uid": "1"},
}  # fmt: skip
TAGGED, PINNED = "registry.example/bundles/qwen:2", f"registry.example/qwen@sha256:{'b' * 64}"


def _image(reference: str) -> Json:
    return {"image": {"reference": reference, "pullPolicy": "IfNotPresent"}}


_CLAIM = {"persistentVolumeClaim": {"claimName": "bundles", "readOnly": True}}
PLACES = {
    "an image by its tag": (f"oci://{TAGGED}", _image(TAGGED), "/bundle"),
    "an image by a digest of its own": (f"oci://{PINNED}", _image(PINNED), "/bundle"),
    "a claim": ("pvc://bundles/", _CLAIM, "/bundle"),
    "a folder of the image": ("file:///bundles/qwen", None, "/bundles/qwen"),
}  # fmt: skip


@pytest.mark.parametrize(("uri", "volume", "folder"), PLACES.values(), ids=PLACES)
def test_pods_are_told_where_the_bundle_is(uri: str, volume: Json | None, folder: str) -> None:
    """And which it has to be: its own digest, whatever brings it."""
    spec = ModelVersionSpec.model_validate(
        {
            "model": "qwen", "version": "2", "image": "pod:2", "checksPerSecond": 10,
            "artifact": {"uri": uri, "digest": DIGEST},
        }
    )  # fmt: skip
    pod = deployment(OWNER, "qwen-2", spec, 1, read_template(Path(TEMPLATE)))["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    told = {one["name"]: one["value"] for one in container["env"]}
    assert told == {"OSTIARY_BUNDLE_URI": uri, "OSTIARY_BUNDLE_DIGEST": DIGEST, "OSTIARY_POD_BUNDLE": folder}
    mounted = [one for one in pod["volumes"] if one["name"] == "bundle"]
    assert mounted == ([] if volume is None else [{"name": "bundle", **volume}])
