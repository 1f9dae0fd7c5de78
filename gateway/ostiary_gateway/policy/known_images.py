"""What hash lists add to a decision: findings of known images, and notes of what an allow-list lifts.

A match asks for what its list says, whether or not the policy names the list's policy: whoever put the list
in force has said it. A list that cannot be looked up in, because the pod gave no hash, holds the check.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp

from ostiary.v1.decision_pb2 import Action, Evidence, Finding, HashMatch, HoldReason
from ostiary.v1.observation_pb2 import Observations
from ostiary_gateway.hashes.header import PDQ
from ostiary_gateway.hashes.in_force import HashLists
from ostiary_gateway.hashes.matching import Match, known_images, wholly_known_images
from ostiary_gateway.policy.in_force import PolicyInForce
from ostiary_gateway.policy.words import seller_reason

_DETECTOR = "hashes"
_WHOLE_CHECK = -1
_BITS = 256
_LIFTED_UNLESS_TOLD = ("vlm",)


def findings(
    lists: HashLists, seen: Observations, seller: str, at: datetime, tenant: str = ""
) -> list[Finding]:
    """One per image and list that knows it and asks for REVIEW or BLOCK; `at` is an aware time."""
    return [_finding(match) for match in known_images(lists.asking, seen, seller, at, tenant)]


def allowances(
    lists: HashLists, seen: Observations, seller: str, at: datetime, tenant: str = ""
) -> list[Match]:
    """The images that an allow-list knows wholly, for this tenant's seller at this aware time."""
    return wholly_known_images(lists.allowing, seen, seller, at, tenant)


def lifted(found: Finding, policy: PolicyInForce, allowed: Iterable[Match]) -> Finding:
    """`found`, or a note in its place where an allow-list lifts it.

    An entry lifts findings of its list's policy and label on its own image, and of the sources that the list
    names, or else the policy in `allow_lifts`: the model's alone unless it says so; never what stands in
    listing texts.
    """
    if found.action == Action.ACTION_NOTE:
        return found
    rule = policy.rule(found.policy)
    sources = (rule.allow_lifts if rule else ()) or _LIFTED_UNLESS_TOLD
    by = next(
        (
            match
            for match in allowed
            if found.source in (match.list.header.lifts or sources) and _speaks_for(match, found)
        ),
        None,
    )
    return found if by is None else _note(found, by)


def holds(lists: HashLists, seen: Observations) -> list[HoldReason]:
    """Why lists could not be looked up in, though they ask for REVIEW or BLOCK; nothing where they could."""
    waiting = lists.needing_pdq
    if not waiting:
        return []
    names = ", ".join(one.header.name for one in waiting)
    return [
        HoldReason(code=code, image_index=image, detail=f"Not looked up in {names}: {why}.")
        for code, image, why in _unhashed(seen)
    ]


def unanswered(policy: str, lists: HashLists, seen: Observations) -> bool:
    """Whether a list that speaks for `policy` could not be looked up in."""
    return any(one.header.policy == policy for one in lists.needing_pdq) and bool(_unhashed(seen))


def image_of(found: Finding) -> int:
    """The image that a finding is of; −1 where it is of the listing's texts."""
    if found.evidence.HasField("known_image"):
        return found.evidence.known_image.image_index
    if found.regions:
        return found.regions[0].image_index
    return found.evidence.score.image_index if found.evidence.HasField("score") else _WHOLE_CHECK


def _unhashed(seen: Observations) -> Sequence[tuple[str, int, str]]:
    """Code, image and words for each readable image without all of its perceptual hashes."""
    if not seen.images:
        return []
    detector = next((one for one in seen.detectors if one.name == _DETECTOR), None)
    if detector is None:
        why = f"the bundle has no detector `{_DETECTOR}`: add it, or take the lists out of force"
        return [("unsupported", _WHOLE_CHECK, why)]
    if not detector.completed:
        why = f"detector {_DETECTOR} did not complete: {detector.error or 'no reason given'}"
        return [("unavailable", _WHOLE_CHECK, why)]
    hashed = {known.image_index for known in seen.pdq}
    return [
        ("unavailable", image.image_index, "the pod gave no perceptual hash of the image")
        for image in seen.images
        if image.image_index not in hashed
    ]


def _finding(match: Match) -> Finding:
    header, distance = match.list.header, match.hit.distance
    return Finding(
        policy=header.policy,
        label=header.label,
        score=1 - distance / _BITS,
        threshold=1 - header.max_distance / _BITS,
        action=header.action,
        source=header.kind,
        evidence=Evidence(known_image=_evidence(match)),
        internal_reason=f"image {match.image_index} is known to {_told(match)};"
        f" the list asks for {Action.Name(header.action)[7:]}",
        seller_reason=seller_reason(header.policy, header.label),
    )


def _note(found: Finding, by: Match) -> Finding:
    note = Finding()
    note.CopyFrom(found)
    note.action = Action.ACTION_NOTE
    note.evidence.allowed_by.CopyFrom(_evidence(by))
    note.internal_reason = (
        f"{found.internal_reason}; a note, because image {by.image_index} is allowed by {_told(by)}"
    )
    note.ClearField("seller_reason")
    return note


def _speaks_for(match: Match, found: Finding) -> bool:
    header = match.list.header
    if header.policy != found.policy or header.label not in ("", found.label):
        return False
    return image_of(found) == match.image_index and all(
        region.image_index == match.image_index for region in found.regions
    )


def _told(match: Match) -> str:
    """List, distance, source, seller, expiry and note of a match, in words for compliance teams."""
    header, entry = match.list.header, match.hit.entry
    facts = [f"{match.hit.distance} bits away"] if header.kind == PDQ else []
    facts += [f"from {source}"] if (source := entry.source or header.source) else []
    facts += [f"for seller {entry.seller}"] if entry.seller else []
    facts += [f"of tenant {entry.tenant}"] if entry.tenant else []
    facts += [f"until {entry.expires_at.isoformat()}"] if entry.expires_at else []
    facts += [entry.note] if entry.note else []
    details = f" ({', '.join(facts)})" if facts else ""
    return f"{header.title} by {header.kind} {entry.hash.hex()[:16]}…{details}"


def _evidence(match: Match) -> HashMatch:
    entry = match.hit.entry
    evidence = HashMatch(
        list=match.list.header.title,
        hash=entry.hash,
        distance=match.hit.distance,
        image_index=match.image_index,
        frame=match.frame,
        source=entry.source or match.list.header.source,
        note=entry.note,
        seller=entry.seller,
    )
    if entry.expires_at:
        until = Timestamp()
        until.FromDatetime(entry.expires_at)
        evidence.expires_at.CopyFrom(until)
    return evidence
