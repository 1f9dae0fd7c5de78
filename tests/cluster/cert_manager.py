"""cert-manager's kinds as far as manifests use them: fields that are not here are refused."""

from typing import Any

Json = dict[str, Any]
GROUP = "cert-manager.io"
_TEXT: Json = {"type": "string"}
_TEXTS: Json = {"type": "array", "items": _TEXT}


def _of(required: list[str], **properties: Json) -> Json:
    return {"type": "object", "required": required, "properties": properties}


_ISSUER = _of([], selfSigned=_of([]), ca=_of(["secretName"], secretName=_TEXT))
_CERTIFICATE = _of(
    ["secretName", "issuerRef"],
    secretName=_TEXT,
    isCA={"type": "boolean"},
    commonName=_TEXT,
    duration=_TEXT,
    renewBefore=_TEXT,
    dnsNames=_TEXTS,
    uris=_TEXTS,
    usages=_TEXTS,
    privateKey=_of(
        [],
        algorithm={"type": "string", "enum": ["RSA", "ECDSA", "Ed25519"]},
        size={"type": "integer"},
        rotationPolicy={"type": "string", "enum": ["Never", "Always"]},
    ),
    issuerRef=_of(["name"], name=_TEXT, kind=_TEXT, group=_TEXT),
)


def _definition(kind: str, spec: Json) -> Json:
    plural = f"{kind.lower()}s"
    version = {
        "name": "v1", "served": True, "storage": True,
        "schema": {"openAPIV3Schema": _of(["spec"], spec=spec)},
    }  # fmt: skip
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural, "singular": kind.lower(), "listKind": f"{kind}List"},
            "versions": [version],
        },
    }


DEFINITIONS = (_definition("Issuer", _ISSUER), _definition("Certificate", _CERTIFICATE))
