"""Merkle trees of RFC 6962: hashes, roots, and proofs made and checked.

All hashes are SHA-256, 32 bytes. Trees are sequences of leaf hashes. Verifiers take nothing on trust: a proof
of the wrong length fails.
"""

from collections.abc import Sequence
from hashlib import sha256

HASH_BYTES = 32
EMPTY_ROOT = sha256(b"").digest()  # RFC 6962 §2.1: MTH({}) = SHA-256()


class ProofError(ValueError):
    """A proof that proves nothing."""


def leaf_hash(entry: bytes) -> bytes:
    """RFC 6962 §2.1: MTH({d(0)}) = SHA-256(0x00 || d(0))."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """RFC 6962 §2.1: the hash of an inner node, SHA-256(0x01 || left || right)."""
    return sha256(b"\x01" + left + right).digest()


def _split(size: int) -> int:
    """RFC 6962 §2.1: the largest power of two smaller than `size` (> 1)."""
    return 1 << (size - 1).bit_length() - 1


def root_hash(leaves: Sequence[bytes]) -> bytes:
    """RFC 6962 §2.1: the Merkle Tree Hash over leaf hashes."""
    if not leaves:
        return EMPTY_ROOT
    if len(leaves) == 1:
        return leaves[0]
    k = _split(len(leaves))
    return node_hash(root_hash(leaves[:k]), root_hash(leaves[k:]))


def inclusion_proof(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """RFC 6962 §2.1.1: PATH(m, D[n]), from the leaf upwards.

    Raises ValueError where the tree has no leaf of that index.
    """
    if not 0 <= index < len(leaves):
        raise ValueError(f"a tree of {len(leaves)} has no leaf {index}")
    if len(leaves) == 1:
        return []
    k = _split(len(leaves))
    if index < k:
        return [*inclusion_proof(leaves[:k], index), root_hash(leaves[k:])]
    return [*inclusion_proof(leaves[k:], index - k), root_hash(leaves[:k])]


def consistency_proof(leaves: Sequence[bytes], old_size: int) -> list[bytes]:
    """RFC 6962 §2.1.2: PROOF(m, D[n]); empty where the sizes are equal.

    Raises ValueError where `old_size` is not between 1 and the tree's size.
    """
    if not 1 <= old_size <= len(leaves):
        raise ValueError(f"a tree of {len(leaves)} extends no tree of {old_size}")
    return _subproof(leaves, old_size, whole=True)


def _subproof(leaves: Sequence[bytes], m: int, *, whole: bool) -> list[bytes]:
    """RFC 6962 §2.1.2: SUBPROOF(m, D[n], b)."""
    if m == len(leaves):
        return [] if whole else [root_hash(leaves)]
    k = _split(len(leaves))
    if m <= k:
        return [*_subproof(leaves[:k], m, whole=whole), root_hash(leaves[k:])]
    return [*_subproof(leaves[k:], m - k, whole=False), root_hash(leaves[:k])]


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """RFC 9162 §2.1.3.2, the algorithm for RFC 6962 §2.1.1 proofs.

    Raises ProofError where `leaf` is not shown to be at `index` of the tree with `size` leaves and `root`.
    """
    if not 0 <= index < size:
        raise ProofError(f"a tree of {size} has no leaf {index}")
    fn, sn, r = index, size - 1, leaf
    for p in proof:
        if sn == 0:
            raise ProofError("the proof is too long")
        if fn & 1 or fn == sn:
            r = node_hash(p, r)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = node_hash(r, p)
        fn, sn = fn >> 1, sn >> 1
    if sn or r != root:
        raise ProofError("the proof does not lead to the root")


def verify_consistency(
    old_size: int, old_root: bytes, new_size: int, new_root: bytes, proof: Sequence[bytes]
) -> None:
    """RFC 9162 §2.1.4.2, the algorithm for RFC 6962 §2.1.2 proofs.

    Raises ProofError where the new tree is not shown to extend the old one. Every tree extends the empty one,
    with an empty proof.
    """
    if not 0 <= old_size <= new_size:
        raise ProofError(f"a tree of {new_size} extends no tree of {old_size}")
    if old_size in (0, new_size):
        if proof or old_root != (EMPTY_ROOT if old_size == 0 else new_root):
            raise ProofError("the trees are not what an empty proof can join")
        return
    path = list(proof) if old_size & (old_size - 1) else [old_root, *proof]
    if not path:
        raise ProofError("the proof is too short")
    if _climb(path, old_size - 1, new_size - 1) != (old_root, new_root):
        raise ProofError("the proof does not lead to both roots")


def _climb(path: Sequence[bytes], fn: int, sn: int) -> tuple[bytes, bytes]:
    """RFC 9162 §2.1.4.2, steps 4 to 7: the old and the new root that a consistency path leads to."""
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    fr = sr = path[0]
    for c in path[1:]:
        if sn == 0:
            raise ProofError("the proof is too long")
        if fn & 1 or fn == sn:
            fr, sr = node_hash(c, fr), node_hash(c, sr)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            sr = node_hash(sr, c)
        fn, sn = fn >> 1, sn >> 1
    if sn:
        raise ProofError("the proof is too short")
    return fr, sr
