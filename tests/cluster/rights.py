"""What a manifest lets a service account do, given to one in a namespace of the tests."""

from pathlib import Path
from typing import Any

import yaml

from cluster.api_client import Api
from ostiary_operator.sandbox.credentials import kubeconfig

Json = dict[str, Any]
BASE = Path(__file__).parents[2] / "manifests/base"


def granted(api: Api, manifest: Path, namespace: str, account: str) -> str:
    """Makes the accounts, roles and bindings of a manifest in a namespace; a kubeconfig of one of the
    accounts.
    """
    for one in yaml.safe_load_all(manifest.read_text(encoding="utf-8")):
        group = "api/v1" if one["apiVersion"] == "v1" else f"apis/{one['apiVersion']}"
        for subject in one.get("subjects", ()):
            subject["namespace"] = namespace
        api.made(f"/{group}/namespaces/{namespace}/{one['kind'].lower()}s", one)
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
    token = api.made(path, asked)["status"]["token"]
    return kubeconfig(f"https://{api.host}:{api.port}", api.authority.read_bytes(), token)
