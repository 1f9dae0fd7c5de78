"""The suite's own footing: a real control plane, where one is named."""

import os
from pathlib import Path

import pytest

from cluster.control_plane import ControlPlane

REASON = (
    "KUBEBUILDER_ASSETS names no folder with kube-apiserver and etcd: conformance ran on the sandbox alone"
)


@pytest.mark.skipif(not os.environ.get("KUBEBUILDER_ASSETS"), reason=REASON)
def test_the_control_plane_answers(control_plane: ControlPlane) -> None:
    """The binaries that KUBEBUILDER_ASSETS names were started and serve."""
    api = control_plane.api()
    assert api.get("/readyz").data == b"ok"
    api.close()


def test_a_folder_without_binaries_is_told(tmp_path: Path) -> None:
    """A wrong KUBEBUILDER_ASSETS is an error and no reason to skip."""
    with pytest.raises(FileNotFoundError, match="there is no etcd to run"):
        ControlPlane(tmp_path, tmp_path)
