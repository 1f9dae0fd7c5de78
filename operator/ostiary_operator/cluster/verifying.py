"""What gates have said of versions, in their statuses. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ostiary_operator.resources.conditions import Condition, truth, updated
from ostiary_operator.resources.gates import Gates, JobGateName, proof_key
from ostiary_operator.resources.model_version import ModelVersionSpec, ModelVersionStatus, Verification
from ostiary_operator.rollout.actions import Verify
from ostiary_operator.rollout.snapshot import Proof


def verified(
    status: ModelVersionStatus, version: ModelVersionSpec, said: Verify, gates: Gates, now: float
) -> ModelVersionStatus:
    """The version's status after a gate's word: of each gate the newest, and the condition `Verified`."""
    key = proof_key(version.artifact.digest, version.image, said.gate, gates.jobs[said.gate])
    new = Verification(gate=said.gate, key=key, passed=said.passed, at=now, figures=said.figures[:1024])
    proofs = (*(one for one in status.verifications if one.gate != said.gate), new)
    wrong = [one for one in proofs if not one.passed]
    condition = Condition(
        type="Verified",
        status=truth(not wrong),
        reason="GateFailed" if wrong else "GatesPassed",
        message="; ".join(f"{one.gate}: {one.figures}" for one in wrong or proofs),
    )
    conditions = updated(status.conditions, (condition,), now)
    return status.model_copy(update={"verifications": proofs, "conditions": conditions})


def proofs_of(
    version: ModelVersionSpec, own: ModelVersionStatus, others: Iterable[ModelVersionStatus], gates: Gates
) -> Mapping[JobGateName, Proof]:
    """What is known of a version by its gates as they are asked for now.

    A bundle that another version of the model has under another name (`others`) was passed if that was; only
    what the version itself failed counts against it.
    """
    asked = {
        proof_key(version.artifact.digest, version.image, name, gate): name
        for name, gate in gates.jobs.items()
    }
    if not asked:
        return {}
    passed = (one for status in others for one in status.verifications if one.passed)
    found: dict[JobGateName, Proof] = {}
    for one in (*passed, *own.verifications):
        name = asked.get(one.key)
        if name is not None and (one.passed or name not in found):
            found[name] = Proof(one.passed, one.figures)
    return found
